/**
 * The targets of the figures. A target is met only if the bad end of the 95 % interval meets it.
 *
 * @typedef {{ atMost: number } | { atLeast: number }} Target
 */

/** Pairs that a figure needs before it says whether a target is met. */
export const enough = 15

/** Microseconds a decision, by case. @type {Readonly<Record<string, Target>>} */
export const decideTargets = {
  'exact-reused': { atMost: 0.1 },
  key: { atMost: 1.25 },
  session: { atMost: 1.25 },
}

/** Throughput: of a public path against the bare framework, of a key against the same hash and look-up by hand. */
export const httpTargets = /** @type {const} */ ({ public: { atLeast: 0.98 }, key: { atLeast: 0.95 } })

/** Sockets against plain ws: silent ones, and accepted ones against plain ws and one frame. */
export const socketTargets = /** @type {const} */ ({
  waiting: {
    cpu: { atMost: 1.1 },
    accepts: { atLeast: 0.95 },
    resident: { atMost: 1.1 },
    heap: { atMost: 0.75 },
  },
  accepted: { cpu: { atMost: 1.25 }, heap: { atMost: 1.2 } },
})

/**
 * Look-ups that are not cached: microseconds in an embedded file, and the ratio to the same query by hand on a server,
 * where the round trip is most of the time.
 *
 * @type {Readonly<Record<string, { microseconds: Target } | { ratio: Target }>>}
 */
export const storeTargets = {
  'sqlite key': { microseconds: { atMost: 50 } },
  'sqlite session': { microseconds: { atMost: 80 } },
  'postgres session': { ratio: { atMost: 1.4 } },
  'redis session': { ratio: { atMost: 1.4 } },
}

/** Milliseconds of `createGate`, by the number of rules. @type {Readonly<Record<number, Target>>} */
export const scaleTargets = { 20000: { atMost: 100 } }

/**
 * @param {import('./statistics.mjs').Estimate} estimate
 * @param {Target | undefined} target
 * @returns {string} `met`, `not met`, or nothing where there is no target
 */
export function verdict({ median, low, high, count }, target) {
  if (target === undefined) return ''
  const atMost = 'atMost' in target
  const limit = atMost ? target.atMost : target.atLeast
  const met = atMost ? high <= limit : low >= limit
  const missed = atMost ? low > limit : high < limit
  const text = `${atMost ? '≤' : '≥'} ${limit}`
  if (count < enough) return `${text}: too few rounds`
  if (met) return `${text}: **met**`
  if (missed) return `${text}: **not met**`
  // The interval holds the limit: this run cannot tell, and that does not count as met.
  return `${text}: **not met** (median ${(atMost ? median <= limit : median >= limit) ? 'within' : 'outside'}, interval across)`
}
