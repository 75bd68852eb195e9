import { networkOf } from './network.ts'
import { createNetworkMemory } from './network-memory.ts'

/** A place among the sockets that the gateway has not accepted yet. */
export interface Slot {
  /** The gateway has opened the socket: from now on the client is waited for. */
  opened(): void
  /** The client has proved itself: it keeps the place until the gateway has answered. */
  prove(): void
  /**
   * Gives the place back; a second call has no effect. `spent`, by default: the client used its turn for nothing, and
   * its network comes last for a while.
   */
  release(spent?: boolean): void
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
/**
 * Sockets for clients of unknown networks that the gateway is opening at a time, and in a second: a flood must not cost
 * the gateway more than that, however quickly its clients give up.
 */
const mostOpening = 4
const mostPerSecond = 20

interface Holder {
  readonly network: string
  readonly claim: Claim
  /** When the client was asked; `undefined` while the gateway is opening the socket. */
  since: number | undefined
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
  const networks = createNetworkMemory(now)
  let timer: NodeJS.Timeout | undefined
  /** Openings for unknown networks in the last second. */
  let recent: number[] = []

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
  const isUnknown = ({ network, claim }: Waiter): boolean => !claim.proven && !networks.isKnown(network)
  /** Milliseconds until one more socket may be opened for a client of an unknown network. */
  const pause = (): number => {
    let opening = 0
    for (const holder of holders) {
      if (holder.since === undefined && !holder.proven && !networks.isKnown(holder.network)) opening++
    }
    if (opening >= mostOpening) return Number.POSITIVE_INFINITY
    recent = recent.filter((time) => time > now() - 1000)
    return recent.length < mostPerSecond ? 0 : (recent[0] ?? 0) + 1000 - now()
  }

  /**
   * The waiting client that is served next: proven, then of a known network, then of one that has not spent a turn, then
   * of the network with the fewest places. Of the second last, the newest comes first: a flood that arrived before it must
   * not be served before it.
   */
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
      const fresh = !networks.hasSpent(network)
      const rank = claim.proven ? -1 : count + (networks.isKnown(network) ? 0 : fresh ? most : 2 * most)
      if (rank < bestRank || (rank === bestRank && fresh && rank >= most)) {
        best = waiter
        bestRank = rank
      }
    }
    return best
  }

  /** The place that has to be given up for a waiting client, if there is one. */
  const excess = ({ network, claim }: Waiter): Holder | undefined => {
    if (claim.proven) return undefined
    const own = held(network) + (networks.isKnown(network) ? 0 : 1)
    let found: Holder | undefined
    let size = 0
    const counts = new Map<string, number>()
    for (const holder of holders) {
      if (holder.proven || holder.since === undefined || holder.network === network) continue
      const count = counts.get(holder.network) ?? held(holder.network)
      counts.set(holder.network, count)
      const weight = count + (networks.isKnown(holder.network) ? 0 : 1)
      if (weight <= own || weight <= size) continue
      // Sets keep the order of arrival: the first one of a network is its oldest.
      found = holder
      size = weight
    }
    return found
  }

  const serve = (): void => {
    clearTimeout(timer)
    timer = undefined
    for (;;) {
      const waiter = next()
      if (waiter === undefined) return
      const rest = isUnknown(waiter) ? pause() : 0
      // The next opening that ends serves again.
      if (rest === Number.POSITIVE_INFINITY) return
      if (rest > 0) {
        again(rest)
        return
      }
      if (!mayTake(waiter.claim)) {
        makeRoom(waiter)
        return
      }
      if (isUnknown(waiter)) recent.push(now())
      waiters.delete(waiter)
      waiter.give()
    }
  }

  const again = (rest: number): void => {
    timer = setTimeout(serve, Math.max(1, rest))
    timer.unref()
  }

  const makeRoom = (waiter: Waiter): void => {
    const victim = excess(waiter)
    if (victim?.since === undefined) return
    const rest = victim.since + (waiters.size > most ? safeUnderPressure : safeFor) - now()
    if (rest <= 0) evict(victim)
    else again(rest)
  }

  const evict = (holder: Holder): void => {
    holders.delete(holder)
    networks.spent(holder.network)
    holder.claim.onEvicted()
    queueMicrotask(serve)
  }

  const hold = (network: string, claim: Claim): Slot => {
    const holder: Holder = { network, claim, since: undefined, proven: claim.proven }
    holders.add(holder)
    return {
      opened() {
        holder.since = now()
        if (waiters.size > 0) serve()
      },
      prove() {
        holder.proven = true
      },
      release(unused = true) {
        if (!holders.delete(holder)) return
        if (unused && !claim.proven) networks.spent(network)
        serve()
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
    remember: (address) => networks.accepted(networkOf(address)),
    get taken() {
      return holders.size
    },
    get waiting() {
      return waiters.size
    },
  }
}
