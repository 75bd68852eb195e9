import { start } from '../children.mjs'

/**
 * @typedef {object} AccessResult
 * @property {{ id: string, name: string, remembers: boolean }[]} contenders
 * @property {Record<string, { seen: number[], first: number[] }>} samples Microseconds, one value a round
 */

/**
 * Microseconds to say whose a token of Cloudflare Access is: a fresh process a round.
 *
 * @param {import('../options.mjs').Options} options
 * @param {(text: string) => void} progress
 * @returns {Promise<AccessResult>}
 */
export async function runAccess({ rounds, quick, check, seed }, progress) {
  /** @type {AccessResult} */
  const result = { contenders: [], samples: {} }
  for (let round = 0; round < rounds; round++) {
    progress(`access: round ${round + 1} of ${rounds}`)
    const worker = start(new URL('worker.mjs', import.meta.url))
    const answer = await worker.ask({ seed: seed + round, batches: check ? 2 : quick ? 6 : 12 })
    await worker.stop()
    result.contenders = answer.contenders
    for (const [id, { seen, first }] of Object.entries(answer.results)) {
      result.samples[id] ??= { seen: [], first: [] }
      result.samples[id].seen.push(seen)
      result.samples[id].first.push(first)
    }
  }
  return result
}
