import { answerQuestions } from '../answer.mjs'
import { median, seededRandom, shuffled } from '../statistics.mjs'
import { createCases } from './cases.mjs'

/** @typedef {(requests: readonly object[]) => unknown} Loop */

/**
 * Creates a separate loop for each function: a shared loop would be slower for the functions that run later.
 *
 * @param {(request: any) => unknown} decide
 * @returns {Loop}
 */
function createLoop(decide) {
  const body =
    'return (requests) => { let last; for (let i = 0; i < requests.length; i++) last = decide(requests[i]); return last }'
  return new Function('decide', body)(decide)
}

/**
 * Creates the requests for one batch, outside of the timed section.
 *
 * @param {import('./cases.mjs').Case} kind
 * @param {number} batch
 */
function requestsOf({ make, reused = false }, batch) {
  const first = make()
  return Array.from({ length: batch }, () => (reused ? first : make()))
}

/**
 * Microseconds an operation in one batch.
 *
 * @param {Loop} loop
 * @param {readonly object[]} requests
 */
function time(loop, requests) {
  const before = performance.now()
  loop(requests)
  return ((performance.now() - before) * 1000) / requests.length
}

/**
 * Every kind of request once, in random order: floor and gate in alternating batches.
 *
 * @param {{ seed: number, batch: number, batches: number, warmBatches: number, manyRules: number }} question Requests in a batch: enough for the clock, few enough that most batches are not interrupted
 */
async function measure({ seed, batch, batches, warmBatches, manyRules }) {
  const random = seededRandom(seed)
  const cases = await createCases(manyRules)
  /** @type {Record<string, { ours: number, floor: number }>} */
  const results = {}
  for (const kind of shuffled(cases, random)) {
    // The first verification asks the store; the benchmark measures a credential in use.
    const decision = await kind.ours(kind.make())
    await kind.floor(kind.make())
    if (!kind.expected(decision)) throw new Error(`${kind.id}: unexpected ${JSON.stringify(decision)}`)
    if (kind.ours(kind.make()) instanceof Promise) throw new Error(`${kind.id}: not answered at once`)
    const ours = createLoop(kind.ours)
    const floor = createLoop(kind.floor)
    const warmUp = requestsOf(kind, batch)
    for (let i = 0; i < warmBatches; i++) for (const loop of [ours, floor]) loop(warmUp)
    /** @type {{ ours: number[], floor: number[] }} */
    const times = { ours: [], floor: [] }
    for (let i = 0; i < batches; i++) {
      for (const which of shuffled(/** @type {const} */ (['ours', 'floor']), random)) {
        times[which].push(time(which === 'ours' ? ours : floor, requestsOf(kind, batch)))
      }
    }
    // The median: a batch that the scheduler interrupted says nothing about the function.
    results[kind.id] = { ours: median(times.ours), floor: median(times.floor) }
  }
  return results
}

answerQuestions(measure)
