import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { drawBars } from './plots/bars.mjs'

/** @typedef {import('./suite.mjs').Result} Result */

/** Results of full runs, a file for each suite: the page is written from them. */
const folder = new URL('../results/', import.meta.url)

/** @param {string} suite */
const fileOf = (suite) => new URL(`${suite}.json`, folder)

/**
 * @param {string} suite
 * @returns {Result | undefined}
 */
export function loadResult(suite) {
  const file = fileOf(suite)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

/**
 * Whether a result takes the place of the one that is kept: not if it is part of a run, and that one has more.
 *
 * @param {Pick<Result, 'rounds' | 'planned'>} result
 * @param {Pick<Result, 'rounds'> | undefined} present
 */
export function supersedes(result, present) {
  return result.rounds >= result.planned || result.rounds >= (present?.rounds ?? 0)
}

/**
 * Keeps a result, if it supersedes the one that is kept.
 *
 * @param {Result} result
 * @returns {boolean} Whether it was kept
 */
export function saveResult(result) {
  if (!supersedes(result, loadResult(result.suite))) return false
  mkdirSync(folder, { recursive: true })
  writeFileSync(fileOf(result.suite), textOf(result))
  return true
}

/**
 * Writes the page, and the plots that it shows.
 *
 * @param {string} page
 * @param {readonly import('./plots/bars.mjs').Plot[]} plots
 */
export function savePage(page, plots) {
  writeFileSync(new URL('README.md', folder), page)
  const pictures = new URL('plots/', folder)
  rmSync(pictures, { recursive: true, force: true })
  mkdirSync(pictures)
  for (const plot of plots) writeFileSync(new URL(`${plot.name}.svg`, pictures), drawBars(plot))
}

/**
 * The results that are kept.
 *
 * @param {readonly { name: string }[]} suites
 * @returns {Map<string, Result>}
 */
export function loadResults(suites) {
  return new Map(
    suites.flatMap(({ name }) => {
      const result = loadResult(name)
      return result === undefined ? [] : [[name, result]]
    }),
  )
}

/**
 * JSON that can be compared line by line: a line for each series of values.
 *
 * @param {Result} result
 */
function textOf({ samples, ...rest }) {
  const head = Object.entries(rest).map(
    ([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`,
  )
  const series = Object.entries(samples).map(([id, measures]) => {
    const lines = Object.entries(measures).map(
      ([measure, values]) =>
        `      ${JSON.stringify(measure)}: [${values.map((value) => Number(value.toPrecision(6))).join(', ')}]`,
    )
    return `    ${JSON.stringify(id)}: {\n${lines.join(',\n')}\n    }`
  })
  return `{\n${head.join(',\n')},\n  "samples": {\n${series.join(',\n')}\n  }\n}\n`
}
