import { networkOf } from './network.ts'

/** A place among the sockets that the gateway has not accepted yet. */
export interface Slot {
  /** The client has proved itself: it keeps the place until the gateway has answered. */
  prove(): void
  /** Gives the place back; a second call has no effect. */
  release(): void
}

/** A claim for a place. */
export interface Claim {
  /** Canonical address of the client; `undefined` where it is not known. */
  readonly address: string | undefined
  /** Whether the client has proved itself here. Other clients leave a third of the places to those. */
  readonly proven: boolean
  /** Gives the claim up. */
  readonly signal: AbortSignal
  /** Called if the place goes to a client of another network: the socket at the gateway has to be closed. */
  onEvicted(): void
}

export interface SlotsOptions {
  /** Places in all. Keep it below the gateway's own limit, which counts the front as one address. */
  readonly most: number
  now(): number
}

/** The places at the gateway. */
export interface Slots {
  /** Waits for a place; rejects with the signal's reason. Waiting clients are bounded by the quarantine. */
  take(claim: Claim): Promise<Slot>
  /** Notes that a client of this address was accepted: its network is served first for a while. */
  remember(address: string | undefined): void
  /** Places taken. */
  readonly taken: number
  readonly waiting: number
}

/**
 * Milliseconds for which a place is safe from clients of other networks; the shorter time counts while more clients wait
 * than there are places. A node answers a challenge within one round trip.
 */
const safeFor = 2000
const safeUnderPressure = 700
/** Networks of accepted clients that are remembered. */
const mostKnown = 4096

interface Holder {
  readonly network: string
  readonly claim: Claim
  readonly since: number
  proven: boolean
}
interface Waiter {
  readonly network: string
  readonly claim: Claim
  give(): void
}

/**
 * Divides the places by network: the next free one goes to the network that holds the fewest, those first of which a
 * client was accepted before. A client that stays silent gives its place up for one of a network that holds fewer. The gateway counts the front as one address and refuses all of its sockets beyond its limit, so the limit is
 * kept here, where the addresses of the clients are known.
 */
export function createSlots({ most, now }: SlotsOptions): Slots {
  const forUnproven = Math.max(1, Math.floor((most * 2) / 3))
  const holders = new Set<Holder>()
  const waiters = new Set<Waiter>()
  const known = new Set<string>()
  let timer: NodeJS.Timeout | undefined

  const held = (network: string): number => {
    let count = 0
    for (const holder of holders) if (holder.network === network && !holder.proven) count++
    return count
  }
  const unproven = (): number => {
    let count = 0
    for (const holder of holders) if (!holder.proven) count++
    return count
  }
  const mayTake = ({ proven }: Claim): boolean => holders.size < most && (proven || unproven() < forUnproven)

  /** The waiting client that is served next: proven, then of a known network, then of the network with the fewest. */
  const next = (): Waiter | undefined => {
    let best: Waiter | undefined
    let bestRank = Number.POSITIVE_INFINITY
    const counts = new Map<string, number>()
    for (const waiter of waiters) {
      const { network, claim } = waiter
      let count = counts.get(network)
      if (count === undefined) {
        count = held(network)
        counts.set(network, count)
      }
      const rank = claim.proven ? -1 : count + (known.has(network) ? 0 : most)
      if (rank < bestRank) {
        best = waiter
        bestRank = rank
      }
    }
    return best
  }

  /** The place that has to be given up for a waiting client, if there is one. */
  const excess = ({ network, claim }: Waiter): Holder | undefined => {
    if (claim.proven) return undefined
    const own = held(network) + (known.has(network) ? 0 : 1)
    let found: Holder | undefined
    let size = 0
    const counts = new Map<string, number>()
    for (const holder of holders) {
      if (holder.proven || holder.network === network) continue
      const count = counts.get(holder.network) ?? held(holder.network)
      counts.set(holder.network, count)
      const weight = count + (known.has(holder.network) ? 0 : 1)
      if (weight <= own || weight <= size) continue
      // Sets keep the order of arrival: the first one of a network is its oldest.
      found = holder
      size = weight
    }
    return found
  }

  const serve = (): void => {
    for (;;) {
      const waiter = next()
      if (waiter === undefined || !mayTake(waiter.claim)) break
      waiters.delete(waiter)
      waiter.give()
    }
    clearTimeout(timer)
    timer = undefined
    const waiter = next()
    if (waiter === undefined) return
    const victim = excess(waiter)
    if (victim === undefined) return
    const rest = victim.since + (waiters.size > most ? safeUnderPressure : safeFor) - now()
    if (rest <= 0) evict(victim)
    else timer = setTimeout(serve, rest)
    timer?.unref()
  }

  const evict = (holder: Holder): void => {
    holders.delete(holder)
    holder.claim.onEvicted()
    queueMicrotask(serve)
  }

  const hold = (network: string, claim: Claim): Slot => {
    const holder: Holder = { network, claim, since: now(), proven: claim.proven }
    holders.add(holder)
    return {
      prove() {
        holder.proven = true
      },
      release() {
        if (holders.delete(holder)) serve()
      },
    }
  }

  return {
    take(claim) {
      const network = networkOf(claim.address)
      return new Promise((resolve, reject) => {
        const { signal } = claim
        if (signal.aborted) return reject(signal.reason as Error)
        const giveUp = (): void => {
          waiters.delete(waiter)
          reject(signal.reason as Error)
        }
        const waiter: Waiter = {
          network,
          claim,
          give() {
            signal.removeEventListener('abort', giveUp)
            resolve(hold(network, claim))
          },
        }
        signal.addEventListener('abort', giveUp, { once: true })
        waiters.add(waiter)
        serve()
      })
    },
    remember(address) {
      const network = networkOf(address)
      known.delete(network)
      known.add(network)
      for (const oldest of known) {
        if (known.size <= mostKnown) break
        known.delete(oldest)
      }
    },
    get taken() {
      return holders.size
    },
    get waiting() {
      return waiters.size
    },
  }
}
