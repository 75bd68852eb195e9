import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeDocuments } from './claims/documents.mjs'
import { Journal } from './journal.mjs'
import { conditionsHere, difference, load } from './machine.mjs'
import { section, writePage } from './page.mjs'
import { installPeers, peersInstalled } from './peers.mjs'
import { plotsFor } from './plots/plots.mjs'
import { shortage } from './resources.mjs'
import { loadResults, savePage, saveResult } from './results.mjs'
import { runSuite } from './run.mjs'

/**
 * @typedef {import('./suite.mjs').Suite} Suite
 * @typedef {import('./suite.mjs').Result} Result
 * @typedef {import('./options.mjs').Options} Options
 */

/** So many processes that want a core besides ours make a run worth little. */
const busy = 0.5

const say = (/** @type {string} */ text) => process.stderr.write(`${text}\n`)

/**
 * Measures the requested suites, keeps the values and writes the report.
 *
 * @param {readonly Suite[]} all
 * @param {Options} options
 * @param {() => boolean} interrupted
 * @returns {Promise<boolean>} Whether everything that was asked for is there
 */
export async function benchmark(all, options, interrupted) {
  const { mode, report, write } = options
  const chosen = all.filter(({ name }) => options.only.includes(name))
  // What only proves that it runs leaves nothing behind.
  const temporary = mode === 'check' ? mkdtempSync(join(tmpdir(), 'upgate-bench-')) : undefined
  const folder = temporary ?? new URL('../results/raw/', import.meta.url)
  const journalOf = (/** @type {Suite} */ { name }) =>
    new Journal(folder, mode === 'full' ? name : `${name}.${mode}`)
  try {
    const peers = options.peers && !report && (await peersFor(chosen, mode))
    if (peers === undefined) return false
    const complete = report || (await measure(chosen, { ...options, peers }, journalOf, interrupted))
    if (complete === undefined) return false
    if (!complete && mode !== 'check') {
      say('Not everything was measured. What was is in bench/results/raw: --resume goes on from there.')
    }
    const results = chosen.flatMap((suite) => keep(suite, journalOf(suite), report || write))
    const parts = results.map(([suite, result]) => section(suite, result))
    if (mode !== 'check') process.stdout.write(`${parts.join('\n\n')}\n`)
    else if (complete) console.log(`The harness runs: ${options.only.join(', ')}.`)
    if (report || write) {
      const kept = loadResults(all)
      savePage(writePage(all, kept), [...kept.values()].flatMap(plotsFor))
      writeDocuments(kept)
      say('bench/results/README.md is written, with its plots and the figures of the README files.')
    }
    return complete
  } finally {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true })
  }
}

/**
 * Installs the libraries to compare with, where a suite measures them. A check takes them as they are.
 *
 * @param {readonly Suite[]} suites
 * @param {Options['mode']} mode
 * @returns {Promise<boolean | undefined>} Whether they are there; `undefined` if they were to be and are not
 */
async function peersFor(suites, mode) {
  if (!suites.some(({ comparesPeers }) => comparesPeers)) return false
  if (mode === 'check') {
    const installed = peersInstalled()
    if (!installed)
      say('The libraries to compare with are not installed (npm ci in bench/peers), and left out.')
    return installed
  }
  return (await installPeers(say)) || undefined
}

/**
 * @param {readonly Suite[]} suites
 * @param {Options} options
 * @param {(suite: Suite) => Journal} journalOf
 * @param {() => boolean} interrupted
 * @returns {Promise<boolean | undefined>} Whether everything was measured; `undefined` where nothing was begun
 */
async function measure(suites, { rounds, mode, seed, resume, peers, minutes }, journalOf, interrupted) {
  const conditions = conditionsHere()
  const plans = suites.flatMap((suite) => {
    const settings = suite.settings(mode, { peers })
    if (settings === false) return []
    const planned = rounds ?? { full: suite.rounds, quick: 3, check: 1 }[mode]
    const started = new Date().toISOString()
    return [{ suite, header: { suite: suite.name, started, mode, seed, conditions, settings, planned } }]
  })
  // Everything that can be known to fail is said before anything is measured.
  const obstacles = plans
    .flatMap(({ suite, header }) => [
      shortage(suite.name, suite.needs?.(header.settings) ?? {}),
      resume ? obstacle(header, journalOf(suite).read()) : undefined,
    ])
    .filter((text) => text !== undefined)
  if (obstacles.length > 0) {
    for (const text of obstacles) say(text)
    return undefined
  }
  if (mode !== 'check' && load() > busy) {
    say(`The machine is busy (load ${load().toFixed(1)}): the figures will be noisy.`)
  }
  let complete = true
  const end = performance.now() + (minutes ?? Number.POSITIVE_INFINITY) * 60_000
  let shares = suites.reduce((sum, { share }) => sum + share, 0)
  /** A suite's part of the time that is left: what one does not need is for those after it. */
  const timeFor = (/** @type {Suite} */ { share }) => {
    const now = performance.now()
    const until = now + ((end - now) * share) / shares
    shares -= share
    return until
  }
  const waiting = plans[Symbol.iterator]()
  const lane = async () => {
    for (const { suite, header } of waiting) {
      const journal = journalOf(suite)
      if (!resume || journal.read() === undefined)
        journal.begin({ ...header, started: new Date().toISOString() })
      else journal.goOn(header.planned)
      try {
        await runSuite(suite, header, journal, { say, interrupted, until: timeFor(suite) })
      } catch (error) {
        complete = false
        if (interrupted()) return
        say(`${suite.name} ended: ${error instanceof Error ? error.message : error}`)
      }
    }
  }
  // Where nothing is timed, nothing is disturbed.
  await Promise.all(mode === 'check' ? [lane(), lane()] : [lane()])
  return complete
}

/**
 * Returns why earlier values cannot be continued, or `undefined`.
 *
 * @param {import('./journal.mjs').Header} header
 * @param {Result | undefined} before
 */
function obstacle({ suite, seed, conditions, settings }, before) {
  if (before === undefined) return undefined
  const other =
    before.seed !== seed
      ? 'seed'
      : JSON.stringify(before.settings) !== JSON.stringify(settings)
        ? 'counts'
        : difference(before.conditions, conditions)
  return (
    other && `${suite} cannot be resumed, it was begun under other conditions (${other}): leave out --resume.`
  )
}

/**
 * What a journal holds, kept where that was asked for.
 *
 * @param {Suite} suite
 * @param {Journal} journal
 * @param {boolean} save
 * @returns {[Suite, Result][]} None where there is no whole round
 */
function keep(suite, journal, save) {
  const result = journal.read()
  if (result === undefined || result.rounds === 0) return []
  if (save && !saveResult(result)) {
    say(`${suite.name}: the result that is kept has more rounds than these ${result.rounds}, and stays.`)
  }
  return [[suite, result]]
}
