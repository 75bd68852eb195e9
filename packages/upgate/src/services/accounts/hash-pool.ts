import type { Clock } from '../../core/ports/clock.ts'
import type { Network } from '../../core/request/networks.ts'

/** On whose behalf a password is hashed. */
export interface Party {
  /** Whether it logged in to this account before: parties that did have places of their own. */
  readonly known: boolean
  /** What its turns count for, narrowest first: the networks of a stranger, the account of one that is known. */
  readonly shares: readonly [Network, ...Network[]]
}

/** Runs expensive work a few at a time, with short queues and no more. */
export interface HashPool {
  /** Starts or queues the task; `undefined` = it was not started, and will not be: others had a better claim. */
  run<T>(party: Party, task: () => Promise<T>): Promise<T | undefined>
}

export interface HashPoolOptions {
  readonly clock: Clock
  readonly inFlight: number
  /** Tasks that may wait, of each kind of party. */
  readonly queue: number
}

/** Milliseconds after which a turn begins to be forgotten; it is within twice as long. */
const window = 60_000
/** Networks whose turns are remembered for a window; at most twice as many in all. */
const remembered = 10_000
/** Turns of parties that are known, one after another, before a stranger that waits gets one. */
const mostInARow = 3

interface Waiting {
  readonly party: Party
  /** Turns that its networks had or wait for already. */
  readonly turns: number
  /** How often it was refused lately. */
  readonly refusals: number
  start(): void
  refuse(): void
}

/** Whose networks had fewer turns goes first; of equals, the one that was refused more often and came again. */
function isBefore(one: Waiting, other: Waiting): boolean {
  return one.turns < other.turns || (one.turns === other.turns && one.refusals > other.refusals)
}

/**
 * Bounds password hashing: each takes 64 MiB and a thread for a noticeable time, whatever asks for it.
 *
 * Strangers run on half of the places at most, so that however many come there is a place for a party that is known.
 * Within either kind the party whose network, or account, had the fewest turns lately goes first, and takes the last
 * place in a full queue from the one that had the most: a flood is held up by itself. A flood from more networks than
 * get a turn leaves every network the same odds; the one that was refused and tries again then goes before those that
 * come for the first time.
 */
export function createHashPool({ clock, inFlight, queue }: HashPoolOptions): HashPool {
  const turns = createCounts(clock)
  const refusals = createCounts(clock)
  const strangers = createLane(Math.ceil(inFlight / 2), inFlight)
  // One account alone cannot take all places from the others.
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

/** One kind of party: what waits, and what runs. */
function createLane(places: number, placesOfOne: number) {
  const waiting: Waiting[] = []
  const inPlace = new Map<string, number>()
  let running = 0

  const keyOf = ({ party }: Waiting): string => party.shares[0].key

  return {
    add: (one: Waiting): void => void waiting.push(one),
    /** What may run next; of equal claims the oldest. */
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
    /** Takes the one with the weakest claim out of a queue that is too long; of equal claims the latest. */
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

/** Counts of the last minute or two, in bounded memory. */
function createCounts(clock: Clock) {
  let young = new Map<string, number>()
  let old = new Map<string, number>()
  let since = clock.now()

  function age(): void {
    const now = clock.now()
    const isPast = now < since || now - since >= window
    if (!isPast && young.size < remembered) return
    // After a pause nothing of before is worth remembering.
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
