import { start } from '../children.mjs'
import { reportAccess } from './report.mjs'

/**
 * Microseconds to verify a token of Cloudflare Access, with a fresh process for each round.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const access = {
  name: 'access',
  rounds: 15,
  share: 20,
  settings: (mode) => ({
    batches: { full: 12, quick: 6, check: 1 }[mode],
    // Compiled before anything is timed: microseconds need many calls for that, a signature few.
    warm: mode === 'check' ? { seen: 2, first: 2 } : { seen: 5000, first: 300 },
  }),
  async *measure({ seed, round, settings }) {
    const worker = start(new URL('worker.mjs', import.meta.url))
    try {
      const results = await worker.ask({ seed: seed + round, ...settings })
      for (const [id, values] of Object.entries(results)) yield { id, values }
    } finally {
      await worker.stop()
    }
  },
  report: reportAccess,
}
