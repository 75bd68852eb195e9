/**
 * @typedef {object} Estimate
 * @property {number} median
 * @property {number} low Lower end of the 95 % interval
 * @property {number} high Upper end
 * @property {number} count Values it is made of
 */

/** Resamples of a bootstrap. */
const resamples = 4000

/**
 * Random numbers from 0 to 1 that are the same in every run (mulberry32).
 *
 * @param {number} seed
 * @returns {() => number}
 */
export function seededRandom(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * A copy in random order.
 *
 * @template T
 * @param {readonly T[]} values
 * @param {() => number} random
 * @returns {T[]}
 */
export function shuffled(values, random) {
  const copy = [...values]
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const held = /** @type {T} */ (copy[i])
    copy[i] = /** @type {T} */ (copy[j])
    copy[j] = held
  }
  return copy
}

/**
 * @param {readonly number[]} values
 * @returns {number}
 */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/**
 * The median with its 95 % interval: percentiles of the medians of resampled values.
 *
 * @param {readonly number[]} values
 * @param {number} seed
 * @returns {Estimate}
 */
export function estimate(values, seed) {
  const random = seededRandom(seed)
  const medians = Array.from({ length: resamples }, () =>
    median(values.map(() => values[Math.floor(random() * values.length)] ?? Number.NaN)),
  ).sort((a, b) => a - b)
  const at = (/** @type {number} */ share) => medians[Math.floor(share * (resamples - 1))] ?? Number.NaN
  return { median: median(values), low: at(0.025), high: at(0.975), count: values.length }
}

/**
 * Ratios of values that were measured in the same round.
 *
 * @param {readonly number[]} values
 * @param {readonly number[]} baseline
 * @returns {number[]}
 */
export function ratios(values, baseline) {
  return values.map((value, round) => value / (baseline[round] ?? Number.NaN))
}
