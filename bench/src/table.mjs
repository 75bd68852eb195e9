import { estimate } from './statistics.mjs'

/** @param {number} value */
export const short = (value) =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)

/** Formats a number, with three decimals if it is below 1. @param {number} value */
export const fine = (value) => (Math.abs(value) < 1 ? value.toFixed(3) : short(value))

/** @param {number} value */
export const precise = (value) => value.toFixed(3)

/** @param {number} value */
export const whole = (value) => value.toFixed(0)

/** @param {number} count */
export const counted = (count) => count.toLocaleString('en')

/**
 * @param {import('./statistics.mjs').Estimate} estimate
 * @param {(value: number) => string} [format]
 */
export function interval({ median, low, high }, format = short) {
  return `${format(median)} (${format(low)}–${format(high)})`
}

/**
 * The median of a series, with its interval; a dash where there is none.
 *
 * @param {readonly number[] | undefined} values
 * @param {number} seed
 * @param {(value: number) => string} [format]
 */
export function cell(values, seed, format = short) {
  return values === undefined || values.length === 0 ? '–' : interval(estimate(values, seed), format)
}

/**
 * The first column is text, or the first `textColumns`; so is the last one, where `lastIsText`.
 *
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 * @param {{ lastIsText?: boolean, textColumns?: number }} [options]
 */
export function table(head, rows, { lastIsText = false, textColumns = 1 } = {}) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(' | ')} |`
  const text = (/** @type {number} */ i) => i < textColumns || (lastIsText && i === head.length - 1)
  return [line(head), line(head.map((_, i) => (text(i) ? '---' : '---:'))), ...rows.map(line)].join('\n')
}
