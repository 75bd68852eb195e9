import { stopRound, takeDeaths } from './children.mjs'
import { load } from './machine.mjs'
import { seededRandom } from './statistics.mjs'

/**
 * @typedef {import('./suite.mjs').Suite} Suite
 * @typedef {import('./journal.mjs').Journal} Journal
 * @typedef {import('./journal.mjs').Header} Header
 */

/** Times that a round is tried: one that a hiccup of the machine ended is no reason to lose an hour. */
const attempts = 2

/**
 * Measures a suite, from the first round that its journal does not hold to the last one that was asked for.
 *
 * @param {Suite} suite
 * @param {Header} header
 * @param {Journal} journal
 * @param {{ say(text: string): void, interrupted(): boolean, until?: number }} surroundings `until`: no round begins that would not be over by then (`performance.now()`)
 * @throws the error that ended the run; the journal holds all values measured until then
 */
export async function runSuite(
  suite,
  header,
  journal,
  { say, interrupted, until = Number.POSITIVE_INFINITY },
) {
  const { planned, seed, mode, settings } = header
  const before = journal.read()?.rounds ?? 0
  if (before >= planned) {
    say(`${suite.name}: all ${planned} rounds are there already`)
    return
  }
  const context = { seed, mode, settings, say: (/** @type {string} */ text) => say(`${suite.name}: ${text}`) }
  const prepared = await suite.prepare?.(context)
  const started = performance.now()
  try {
    for (let round = before; round < planned; round++) {
      await attempt(round, prepared?.state)
      const each = (performance.now() - started) / 1000 / (round - before + 1)
      const spare = (until - performance.now()) / 1000
      const left = Math.min(planned - round - 1, Math.max(0, Math.floor(spare / each)))
      say(
        `${suite.name}: round ${round + 1} of ${planned}, ${each.toFixed(1)} s a round` +
          `${left > 0 ? `, ${Math.ceil(left * each)} s left` : ''} (load ${load().toFixed(1)})`,
      )
      if (left === 0 && round + 1 < planned) {
        say(`${suite.name}: its time is over after ${round + 1} of ${planned} rounds (--minutes)`)
        journal.goOn(round + 1)
        return
      }
    }
  } finally {
    await prepared?.dispose()
  }

  /**
   * @param {number} round
   * @param {unknown} state
   */
  async function attempt(round, state) {
    for (let i = 1; ; i++) {
      if (interrupted()) throw new Error('interrupted')
      const begun = performance.now()
      try {
        // The same round measures in the same order, whichever run it is part of.
        const random = seededRandom(seed * 1009 + round)
        for await (const sample of suite.measure({ ...context, round, random, state })) {
          if (interrupted()) throw new Error('interrupted')
          for (const [measure, value] of Object.entries(sample.values)) {
            if (!Number.isFinite(value)) throw new Error(`${sample.id}: ${measure} is no number`)
          }
          journal.sample({ round, ...sample })
        }
        journal.done(round, rounded((performance.now() - begun) / 1000))
        return
      } catch (error) {
        const said = error instanceof Error ? error.message : String(error)
        const message = [said, ...takeDeaths().filter((death) => death !== said)].join('\n')
        stopRound()
        if (interrupted()) throw error
        journal.failed(round, message)
        if (i === attempts) throw new Error(message)
        say(`${suite.name}: round ${round + 1} failed and is measured anew: ${message}`)
      }
    }
  }
}

/** @param {number} value */
function rounded(value) {
  return Number(value.toFixed(2))
}
