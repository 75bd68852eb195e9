import { start } from '../children.mjs'
import { seededRandom, shuffled } from '../statistics.mjs'

/**
 * @typedef {import('./servers.mjs').Framework} Framework
 * @typedef {import('./servers.mjs').Guard} Guard
 * @typedef {'public' | 'key'} Load
 * @typedef {{ throughput: number[], cpu: number[] }} Samples Requests a second; server CPU in microseconds a request
 * @typedef {Record<string, Samples>} HttpResult By `framework load guard`
 */

/** @type {readonly Framework[]} */
export const frameworks = ['http', 'express', 'koa']

/** What is measured of each framework. The control is the bare server once more. */
const variants = /** @type {const} */ ([
  ['public', 'bare'],
  ['public', 'control'],
  ['public', 'hand'],
  ['public', 'gate'],
  ['key', 'bare'],
  ['key', 'hand'],
  ['key', 'gate'],
])

/** Enough to see every server and both loads answer. */
const essential = variants.filter(([load, guard]) => guard === 'gate' || `${load} ${guard}` === 'key hand')

/**
 * Requests through each adapter: a fresh server and a fresh client for every sample, in random order.
 *
 * @param {import('../options.mjs').Options} options
 * @param {(text: string) => void} progress
 * @returns {Promise<HttpResult>}
 */
export async function runHttp({ rounds, quick, check, seed }, progress) {
  const random = seededRandom(seed)
  const times = check ? { warm: 20, load: 20 } : quick ? { warm: 150, load: 150 } : { warm: 300, load: 400 }
  /** @type {HttpResult} */
  const result = {}
  for (let round = 0; round < rounds; round++) {
    progress(`http: round ${round + 1} of ${rounds}`)
    for (const framework of shuffled(frameworks, random)) {
      for (const [load, guard] of shuffled(check ? essential : variants, random)) {
        const { throughput, cpu } = await sample(framework, guard === 'control' ? 'bare' : guard, load, times)
        const name = `${framework} ${load} ${guard}`
        result[name] ??= { throughput: [], cpu: [] }
        const samples = result[name]
        samples.throughput.push(throughput)
        samples.cpu.push(cpu)
      }
    }
  }
  return result
}

/**
 * @param {Framework} framework
 * @param {Guard} guard
 * @param {Load} load
 * @param {{ warm: number, load: number }} times Milliseconds
 */
async function sample(framework, guard, load, times) {
  const server = start(new URL('server.mjs', import.meta.url), [framework, guard])
  const client = start(new URL('client.mjs', import.meta.url))
  try {
    const { port, key } = await server.ask({ what: 'where' })
    const headers = load === 'key' ? [['Authorization', `Bearer ${key}`]] : []
    const path = load === 'key' ? '/api/items' : '/health'
    await client.ask({ what: 'open', port, path, headers })
    await client.ask({ what: 'load', milliseconds: times.warm })
    const before = await server.ask({ what: 'cpu' })
    const { requests, milliseconds } = await client.ask({ what: 'load', milliseconds: times.load })
    const after = await server.ask({ what: 'cpu' })
    const spent = after.user - before.user + after.system - before.system
    return { throughput: (requests * 1000) / milliseconds, cpu: spent / requests }
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
}
