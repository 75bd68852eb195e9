import { readFileSync } from 'node:fs'
import Libsql from 'libsql'
import { createServices } from 'upgate'
import { sqliteStore } from 'upgate/sql'
import { answerQuestions } from '../answer.mjs'
import { freshRequest } from '../decide/requests.mjs'
import { gateOver } from '../fixture.mjs'
import { median, seededRandom, shuffled } from '../statistics.mjs'
import { fillMemory } from './fill.mjs'

/** Milliseconds until uses are written: longer than the measurement, so that no write falls into it. */
const touchDelay = 300_000

/**
 * One way to look up, and its questions, which are created outside of the timed section.
 *
 * @typedef {{ run: (question: any) => unknown, make: () => unknown, size: number }} Way
 */

/**
 * @param {{ file: string | undefined, size: number, known: number, hot: number }} question
 */
async function open({ file, size, known }) {
  if (file === undefined) return fillMemory(size, known)
  /** @type {string[]} */
  const tokens = JSON.parse(readFileSync(`${file}.json`, 'utf8'))
  return { store: await sqliteStore({ file }), tokens }
}

/**
 * What the database itself needs for one of those rows.
 *
 * @param {string} file
 */
function selectFrom(file) {
  const statement = new Libsql(file, { readonly: true }).prepare('select * from upgate_keys where id = ?')
  return (/** @type {string} */ token) => statement.get(token.split('_')[1])
}

/**
 * Microseconds a question in one batch, one after the other.
 *
 * @param {Way} way
 */
async function time({ run, make, size }) {
  const questions = Array.from({ length: size }, make)
  const before = performance.now()
  for (const question of questions) {
    const answer = run(question)
    if (answer instanceof Promise) await answer
  }
  return ((performance.now() - before) * 1000) / size
}

/**
 * Decisions with keys of one store: in alternating batches, with few keys in use, with as many as the cache keeps
 * for certain, and with a cache that keeps none.
 *
 * @param {{ file: string | undefined, size: number, known: number, hot: number, seed: number, batch: number, batches: number, cachedBatch: number, warm: number }} question `warm`: milliseconds for which each is called before it is timed
 */
async function measure(question) {
  const { file, hot, seed, batch, batches, cachedBatch, warm } = question
  const random = seededRandom(seed)
  const { store, tokens } = await open(question)
  const one = (/** @type {number} */ among) => tokens[Math.floor(random() * among)] ?? ''
  const asking = (/** @type {number} */ among) => () =>
    freshRequest('/api/items', [['Authorization', `Bearer ${one(among)}`]])
  const cached = gateOver(createServices({ store, limits: { touchDelay } })).decide
  const uncached = gateOver(createServices({ store, limits: { touchDelay, cacheEntries: 2 } })).decide
  /** @type {Record<string, Way>} */
  const ways = {
    hot: { run: cached, make: asking(Math.min(hot, tokens.length)), size: cachedBatch },
    full: { run: cached, make: asking(tokens.length), size: cachedBatch },
    uncached: { run: uncached, make: asking(tokens.length), size: batch },
    ...(file === undefined
      ? {}
      : { select: { run: selectFrom(file), make: () => one(tokens.length), size: batch } }),
  }
  for (const token of tokens) {
    const decision = await cached(freshRequest('/api/items', [['Authorization', `Bearer ${token}`]]))
    if (decision.outcome !== 'allow') throw new Error(`unexpected ${JSON.stringify(decision)}`)
  }
  if ((await uncached(asking(hot)()))?.outcome !== 'allow') throw new Error('not allowed where not cached')
  if (cached(asking(tokens.length)()) instanceof Promise) throw new Error('not in the cache')
  if (ways.select?.run(tokens[0]) === undefined && file !== undefined) throw new Error('no such row')
  /** @type {Record<string, number[]>} */
  const times = {}
  for (const [name, way] of Object.entries(ways)) {
    times[name] = []
    for (const until = performance.now() + warm; performance.now() < until; ) await time(way)
  }
  for (let i = 0; i < batches; i++) {
    for (const [name, way] of shuffled(Object.entries(ways), random)) times[name]?.push(await time(way))
  }
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]))
}

answerQuestions(measure)
