import { createServices } from 'upgate'
import { answerQuestions } from '../answer.mjs'
import { median, seededRandom, shuffled } from '../statistics.mjs'
import { openByHand } from './by-hand.mjs'
import { fill } from './fill.mjs'
import { names } from './names.mjs'
import { openStore } from './place.mjs'

/** @typedef {(token: string) => unknown} Verify */

/** Milliseconds until uses are written: longer than the measurement, so that no write falls into it. */
const touchDelay = 300_000

/**
 * One after the other: microseconds a verification, and of them those that this process spent on a core.
 *
 * @param {Verify} verify
 * @param {readonly string[]} tokens
 */
async function time(verify, tokens) {
  const cpu = process.cpuUsage()
  const before = performance.now()
  for (const token of tokens) {
    const answer = verify(token)
    // A synchronous answer must not pay for a turn of the microtask queue.
    if (answer instanceof Promise) await answer
  }
  const wall = ((performance.now() - before) * 1000) / tokens.length
  const { user, system } = process.cpuUsage(cpu)
  return { wall, cpu: (user + system) / tokens.length }
}

/**
 * Credentials as new strings, as requests bring them: with their own memory and without a cached hash.
 *
 * @param {readonly { token: string }[]} known
 * @param {number} length
 */
function fresh(known, length) {
  return Array.from({ length }, (_, i) =>
    Buffer.from(known[i % known.length]?.token ?? '', 'latin1').toString('latin1'),
  )
}

/**
 * Both kinds of credential in one store: known from before, not known, and looked up by hand, in alternating batches.
 *
 * @param {{ id: import('./names.mjs').StoreName, place: import('./place.mjs').Place, filled?: import('./fill.mjs').Filled, seed: number, count: number, batch: number, batches: number, cachedBatch: number, warm: number }} question `warm`: milliseconds for which each is called before it is timed
 */
async function measure({ id, place, filled: given, seed, count, batch, batches, cachedBatch, warm }) {
  const random = seededRandom(seed)
  const store = await openStore(id, place)
  const hand = await openByHand(id, place)
  // A store in this process's memory has to be filled by this process.
  const filled = given ?? (await fill(store, count))
  if (given === undefined) await hand.put(filled)

  const cached = createServices({ store, limits: { touchDelay } })
  // Two entries: never the one that is asked for next.
  const uncached = createServices({ store, limits: { touchDelay, cacheEntries: 2 } })
  /** @type {Record<string, Record<string, number>>} */
  const results = {}
  for (const kind of shuffled(names[id].kinds, random)) {
    const known = kind === 'key' ? filled.keys : filled.sessions
    const of = kind === 'key' ? 'keys' : 'sessions'
    /** @type {Record<'cached' | 'uncached' | 'hand', { verify: Verify, size: number }>} */
    const ways = {
      cached: { verify: cached[of].verify, size: cachedBatch },
      uncached: { verify: uncached[of].verify, size: batch },
      hand: { verify: hand.find[kind], size: batch },
    }
    await check(kind, ways, known)
    /** @type {Record<string, { wall: number, cpu: number }[]>} */
    const times = {}
    for (const [way, { verify, size }] of Object.entries(ways)) {
      times[way] = []
      for (const until = performance.now() + warm; performance.now() < until; ) {
        await time(verify, fresh(known, size))
      }
    }
    for (let i = 0; i < batches; i++) {
      for (const [way, { verify, size }] of shuffled(Object.entries(ways), random)) {
        times[way]?.push(await time(verify, fresh(known, size)))
      }
    }
    const medianOf = (/** @type {string} */ way, /** @type {'wall' | 'cpu'} */ what) =>
      median((times[way] ?? []).map((each) => each[what]))
    results[kind] = {
      cached: medianOf('cached', 'wall'),
      uncached: medianOf('uncached', 'wall'),
      uncachedCpu: medianOf('uncached', 'cpu'),
      hand: medianOf('hand', 'wall'),
      handCpu: medianOf('hand', 'cpu'),
    }
  }
  return results
}

/**
 * Checks that each token yields its principal and that the cache holds the expected ones: a refusal is quicker than an
 * acceptance and would falsify the figures.
 *
 * @param {string} kind
 * @param {Record<'cached' | 'uncached' | 'hand', { verify: Verify }>} ways
 * @param {readonly { token: string, id: string }[]} known
 */
async function check(kind, { cached, uncached, hand }, known) {
  for (const { token, id } of known) {
    for (const { verify } of [cached, uncached]) {
      const answer = /** @type {any} */ (await verify(token))
      if (answer.principal?.id !== id) throw new Error(`${kind}: unexpected ${JSON.stringify(answer)}`)
    }
    const found = /** @type {any} */ (await hand.verify(token))
    if (found?.id !== id) throw new Error(`${kind} by hand: unexpected ${JSON.stringify(found)}`)
    if (cached.verify(token) instanceof Promise) throw new Error(`${kind}: not in the cache`)
  }
  for (const { token } of known) {
    const answer = uncached.verify(token)
    if (!(answer instanceof Promise)) throw new Error(`${kind}: in the cache`)
    await answer
  }
}

answerQuestions(measure)
