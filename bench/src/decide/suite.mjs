import { start } from '../children.mjs'
import { reportDecide } from './report.mjs'

/**
 * Microseconds a decision, by kind of credential: a fresh process a round.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const decide = {
  name: 'decide',
  rounds: 15,
  share: 32,
  settings: (mode) => ({
    batch: mode === 'check' ? 16 : 256,
    batches: { full: 30, quick: 12, check: 2 }[mode],
    // Everything is compiled by then.
    warmBatches: mode === 'check' ? 1 : 64,
    manyRules: mode === 'check' ? 200 : 10_000,
  }),
  async *measure({ seed, round, settings }) {
    const worker = start(new URL('worker.mjs', import.meta.url), [], [], { core: 'server' })
    try {
      const results = await worker.ask({ seed: seed + round, ...settings })
      for (const [id, values] of Object.entries(results)) yield { id, values }
    } finally {
      await worker.stop()
    }
  },
  report: reportDecide,
}
