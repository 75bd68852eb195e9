import { start } from '../children.mjs'

/**
 * @typedef {object} DecideResult
 * @property {{ id: string, name: string, floorName: string }[]} cases
 * @property {Record<string, { ours: number[], floor: number[] }>} samples Microseconds, one value a round
 */

/**
 * Microseconds a decision, by kind of credential: a fresh process a round.
 *
 * @param {import('../options.mjs').Options} options
 * @param {(text: string) => void} progress
 * @returns {Promise<DecideResult>}
 */
export async function runDecide({ rounds, quick, check, seed }, progress) {
  /** @type {DecideResult} */
  const result = { cases: [], samples: {} }
  for (let round = 0; round < rounds; round++) {
    progress(`decide: round ${round + 1} of ${rounds}`)
    const worker = start(new URL('worker.mjs', import.meta.url))
    const answer = await worker.ask({ seed: seed + round, batches: check ? 2 : quick ? 12 : 40 })
    await worker.stop()
    result.cases = answer.cases
    for (const [id, { ours, floor }] of Object.entries(answer.results)) {
      result.samples[id] ??= { ours: [], floor: [] }
      const samples = result.samples[id]
      samples.ours.push(ours)
      samples.floor.push(floor)
    }
  }
  return result
}
