import type { Clock } from '../../core/ports/clock.ts'
import type { Network } from '../../core/request/networks.ts'

/** Client or account for which a password is hashed. */
export interface Party {
  /** Whether it logged in to this account before. Known parties have places that strangers cannot take. */
  readonly known: boolean
  /**
   * Keys under which its turns are counted, narrowest first: networks of a stranger, the account of a known
   * party.
   */
  readonly shares: readonly [Network, ...Network[]]
}

/** Runs expensive tasks a few at a time, with short queues. */
export interface HashPool {
  /**
   * Starts or queues the task; `undefined` = the task was not run and will not be, because others had a
   * better claim.
   */
  run<T>(party: Party, task: () => Promise<T>): Promise<T | undefined>
}

export interface HashPoolOptions {
  readonly clock: Clock
  readonly inFlight: number
  /** Tasks that may wait, separately for known parties and for strangers. */
  readonly queue: number
}

/** Milliseconds after which a turn may be forgotten; it is forgotten within twice as long. */
const window = 60_000
/** Largest number of networks with remembered turns per window; at most twice as many in all. */
const remembered = 10_000
/** Consecutive turns of known parties after which a waiting stranger gets one. */
const mostInARow = 3

interface Waiting {
  readonly party: Party
  /** Turns that its networks have had or are waiting for. */
  readonly turns: number
  /** Number of recent refusals. */
  readonly refusals: number
  start(): void
  refuse(): void
}

/** Orders the waiting tasks: fewest turns of the network first, then most refusals. */
function isBefore(one: Waiting, other: Waiting): boolean {
  return one.turns < other.turns || (one.turns === other.turns && one.refusals > other.refusals)
}

/**
 * Bounds password hashing: each hash takes 64 MiB and a thread for a noticeable time.
 *
 * Strangers use at most half of the places, so a known party finds a place during any flood of strangers.
 *
 * Among strangers, and among known parties, the task of the network or account with the fewest recent turns
 * goes first. It takes the last place in a full queue from the one that had the most. So a flood from few
 * networks delays itself. In a flood from more networks than there are turns, every network has the same
 * chance; a refused network that tries again then goes before those that come for the first time.
 */
export function createHashPool({ clock, inFlight, queue }: HashPoolOptions): HashPool {
  const turns = createCounts(clock)
  const refusals = createCounts(clock)
  const strangers = createLane(Math.ceil(inFlight / 2), inFlight)
  // One account must not be able to take all places from the others.
  const known = createLane(inFlight, Math.max(1, inFlight - 1))
  let running = 0
  let inARow = 0

  function next(): void {
    while (running < inFlight) {
      const first = known.first()
      const stranger = strangers.first()
      const turn = first !== undefined && (stranger === undefined || inARow < mostInARow) ? first : stranger
      if (turn === undefined) return
      inARow = turn === first ? inARow + 1 : 0
      turn.start()
    }
  }

  return {
    run<T>(party: Party, task: () => Promise<T>): Promise<T | undefined> {
      const lane = party.known ? known : strangers
      const { shares } = party
      return new Promise((resolve, reject) => {
        const waiting: Waiting = {
          party,
          turns: Math.max(...shares.map(({ key, factor }) => turns.of(key) / factor)),
          refusals: refusals.of(shares[0].key),
          start() {
            running++
            lane.begin(waiting)
            Promise.resolve()
              .then(task)
              .finally(() => {
                running--
                lane.end(waiting)
                next()
              })
              .then(resolve, reject)
          },
          refuse() {
            for (const { key } of shares) turns.add(key, -1)
            refusals.add(shares[0].key, 1)
            resolve(undefined)
          },
        }
        for (const { key } of shares) turns.add(key, 1)
        lane.add(waiting)
        next()
        lane.trim(queue)?.refuse()
      })
    },
  }
}

/** Creates the lane of strangers or of known parties: its waiting and its running tasks. */
function createLane(places: number, placesOfOne: number) {
  const waiting: Waiting[] = []
  const inPlace = new Map<string, number>()
  let running = 0

  const keyOf = ({ party }: Waiting): string => party.shares[0].key

  return {
    add: (one: Waiting): void => void waiting.push(one),
    /** The task that may run next; the oldest of equal claims. */
    first(): Waiting | undefined {
      if (running >= places) return undefined
      let best: Waiting | undefined
      for (const one of waiting) {
        if ((inPlace.get(keyOf(one)) ?? 0) >= placesOfOne) continue
        if (best === undefined || isBefore(one, best)) best = one
      }
      return best
    },
    begin(one: Waiting): void {
      waiting.splice(waiting.indexOf(one), 1)
      running++
      inPlace.set(keyOf(one), (inPlace.get(keyOf(one)) ?? 0) + 1)
    },
    end(one: Waiting): void {
      running--
      const left = (inPlace.get(keyOf(one)) ?? 1) - 1
      if (left > 0) inPlace.set(keyOf(one), left)
      else inPlace.delete(keyOf(one))
    },
    /** Removes the task with the weakest claim from a queue that is too long; the latest of equal claims. */
    trim(atMost: number): Waiting | undefined {
      if (waiting.length <= atMost) return undefined
      let worst = 0
      for (const [i, one] of waiting.entries()) {
        if (!isBefore(one, waiting[worst] as Waiting)) worst = i
      }
      return waiting.splice(worst, 1)[0]
    },
  }
}

/** Counts of the last one to two minutes, in bounded memory. */
function createCounts(clock: Clock) {
  let young = new Map<string, number>()
  let old = new Map<string, number>()
  let since = clock.now()

  function age(): void {
    const now = clock.now()
    const isPast = now < since || now - since >= window
    if (!isPast && young.size < remembered) return
    // After a pause of two windows all counts are too old to keep.
    old = now >= since && now - since < 2 * window ? young : new Map()
    young = new Map()
    since = now
  }

  return {
    of(key: string): number {
      age()
      return (young.get(key) ?? 0) + (old.get(key) ?? 0)
    },
    add(key: string, difference: 1 | -1): void {
      age()
      const generation = difference === 1 || young.has(key) ? young : old
      const count = (generation.get(key) ?? 0) + difference
      if (count > 0) generation.set(key, count)
      else generation.delete(key)
    },
  }
}
