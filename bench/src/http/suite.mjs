import { start } from '../children.mjs'
import { shuffled } from '../statistics.mjs'
import { reportHttp } from './report.mjs'

/**
 * @typedef {import('./servers.mjs').Framework} Framework
 * @typedef {import('./servers.mjs').Guard} Guard
 * @typedef {'public' | 'key'} Load
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

/** Enough to see every server answer. */
const essential = variants.filter(([load, guard]) => load === 'key' && guard !== 'bare')

/**
 * Requests through each adapter: a fresh server and a fresh client for every sample, in random order. Many rounds of
 * short samples: what differs from process to process is more than what differs within one.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const http = {
  name: 'http',
  rounds: 20,
  settings: (mode) => ({
    connections: 16,
    ...{ full: { warm: 250, load: 300 }, quick: { warm: 150, load: 150 }, check: { warm: 20, load: 20 } }[
      mode
    ],
  }),
  async *measure({ random, mode, settings }) {
    for (const framework of shuffled(frameworks, random)) {
      for (const [load, guard] of shuffled(mode === 'check' ? essential : variants, random)) {
        const values = await sample(framework, guard === 'control' ? 'bare' : guard, load, settings)
        yield { id: `${framework} ${load} ${guard}`, values }
      }
    }
  },
  report: reportHttp,
}

/**
 * Requests a second; the server's CPU in microseconds a request; the share of the time in which it had some.
 *
 * @param {Framework} framework
 * @param {Guard} guard
 * @param {Load} load
 * @param {{ connections: number, warm: number, load: number }} settings Times in milliseconds
 */
async function sample(framework, guard, load, { connections, ...times }) {
  const server = start(new URL('server.mjs', import.meta.url), [framework, guard], [], { core: 'server' })
  const client = start(new URL('client.mjs', import.meta.url), [], [], { core: 'client' })
  try {
    const { port, key } = await server.ask({ what: 'where' })
    const headers = load === 'key' ? [['Authorization', `Bearer ${key}`]] : []
    const path = load === 'key' ? '/api/items' : '/health'
    await client.ask({ what: 'open', port, path, headers, connections })
    await client.ask({ what: 'load', milliseconds: times.warm })
    const before = await server.ask({ what: 'cpu' })
    const { requests, milliseconds } = await client.ask({ what: 'load', milliseconds: times.load })
    const after = await server.ask({ what: 'cpu' })
    const spent = after.user - before.user + after.system - before.system
    return {
      throughput: (requests * 1000) / milliseconds,
      cpu: spent / requests,
      busy: spent / 1000 / milliseconds,
    }
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
}
