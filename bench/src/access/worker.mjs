import { answerQuestions } from '../answer.mjs'
import { median, seededRandom, shuffled } from '../statistics.mjs'
import { createContenders } from './contenders.mjs'
import { createIssuer } from './tokens.mjs'

/** Operations in a batch: enough for the clock where a token is known, few where each costs a signature. */
const batches = { seen: 256, first: 32 }

/**
 * Microseconds an operation in one batch, one after the other.
 *
 * @param {(question: object) => unknown} run
 * @param {readonly object[]} questions
 * @param {boolean} waits
 */
async function time(run, questions, waits) {
  const before = performance.now()
  // A synchronous answer must not pay for a turn of the microtask queue.
  if (waits) for (const question of questions) await run(question)
  else for (const question of questions) run(question)
  return ((performance.now() - before) * 1000) / questions.length
}

/**
 * Every contender, with a token it has seen and with tokens it has not, in batches that alternate in random order.
 *
 * @param {{ seed: number, batches: number, warm: { seen: number, first: number } }} question
 */
async function measure({ seed, batches: count, warm }) {
  const random = seededRandom(seed)
  const issuer = createIssuer()
  const contenders = createContenders(issuer)
  const known = issuer.token()
  /** @type {Record<string, { seen: number[], first: number[] }>} */
  const times = {}
  /** Whether the answer is a promise: for a token that was seen, and for the first sight of one. */
  /** @type {Record<string, { seen: boolean, first: boolean }>} */
  const waits = {}
  const fresh = () => Array.from({ length: batches.first }, () => issuer.token())
  for (const { id, remembers, make, run, expected } of contenders) {
    times[id] = { seen: [], first: [] }
    const answer = await run(make(known))
    if (!expected(answer)) throw new Error(`${id}: unexpected ${JSON.stringify(answer)}`)
    const seen = run(make(known)) instanceof Promise
    waits[id] = { seen, first: seen }
    for (let i = remembers ? warm.seen : warm.first; i > 0; i--) await run(make(known))
  }
  for (const token of fresh())
    for (const { id, make, run, verifies = true } of contenders) {
      if (!verifies) continue
      const answer = run(make(token))
      if (answer instanceof Promise) waits[id] = { seen: waits[id]?.seen === true, first: true }
      await answer
    }
  for (let i = 0; i < count; i++) {
    const tokens = fresh()
    for (const { id, remembers, verifies = true, make, run } of shuffled(contenders, random)) {
      const size = remembers ? batches.seen : batches.first
      const again = Array.from({ length: size }, () => make(known))
      times[id]?.seen.push(await time(run, again, waits[id]?.seen === true))
      if (verifies) times[id]?.first.push(await time(run, tokens.map(make), waits[id]?.first === true))
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([id, { seen, first }]) => [
      id,
      { seen: median(seen), ...(first.length > 0 && { first: median(first) }) },
    ]),
  )
}

answerQuestions(measure)
