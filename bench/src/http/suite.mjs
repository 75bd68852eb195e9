import { start } from '../children.mjs'
import { shuffled } from '../statistics.mjs'
import { reportHttp } from './report.mjs'

/**
 * @typedef {import('./servers.mjs').Framework} Framework
 * @typedef {import('./servers.mjs').Guard} Guard
 * @typedef {'public' | 'key'} Load
 */

/** Milliseconds that a busy machine may take for it. */
const patience = 120_000

/** @type {readonly Framework[]} */
const frameworks = ['http', 'express', 'koa']

/** The variants measured for each framework. The control is the bare server once more. */
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
 * Requests through each adapter: a fresh server and a fresh client for every sample, in random order. Short samples:
 * what differs from process to process is more than what differs within one. They are warmed up by requests and not by
 * time: a machine that is busy for a moment would otherwise measure a server that is half compiled, at a tenth of its
 * speed.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const http = {
  name: 'http',
  rounds: 15,
  settings: (mode) => ({
    connections: 16,
    requests: {
      full: {
        http: { warm: 16_000, load: 16_000 },
        express: { warm: 10_000, load: 4000 },
        koa: { warm: 12_000, load: 8000 },
      },
      quick: {
        http: { warm: 16_000, load: 8000 },
        express: { warm: 6000, load: 2000 },
        koa: { warm: 8000, load: 4000 },
      },
      check: {
        http: { warm: 20, load: 20 },
        express: { warm: 20, load: 20 },
        koa: { warm: 20, load: 20 },
      },
    }[mode],
  }),
  async *measure({ random, mode, settings }) {
    for (const framework of shuffled(frameworks, random)) {
      for (const [load, guard] of shuffled(mode === 'check' ? essential : variants, random)) {
        // One is enough to say how much the machine differs from itself.
        if (guard === 'control' && framework !== 'http') continue
        const values = await sample(framework, guard === 'control' ? 'bare' : guard, load, {
          connections: settings.connections,
          ...settings.requests[framework],
        })
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
 * @param {{ connections: number, warm: number, load: number }} settings Requests before what counts, and then
 */
async function sample(framework, guard, load, { connections, ...requests }) {
  const server = start(new URL('server.mjs', import.meta.url), [framework, guard], [], { core: 'server' })
  const client = start(new URL('client.mjs', import.meta.url), [], [], { core: 'client' })
  try {
    const { port, key } = await server.ask({ what: 'where' })
    const headers = load === 'key' ? [['Authorization', `Bearer ${key}`]] : []
    const path = load === 'key' ? '/api/items' : '/health'
    await client.ask({ what: 'open', port, path, headers, connections })
    await client.ask({ what: 'load', requests: requests.warm }, patience)
    const before = await server.ask({ what: 'cpu' })
    const { requests: answered, milliseconds } = await client.ask(
      { what: 'load', requests: requests.load },
      patience,
    )
    const after = await server.ask({ what: 'cpu' })
    const spent = after.user - before.user + after.system - before.system
    return {
      throughput: (answered * 1000) / milliseconds,
      cpu: spent / answered,
      busy: spent / 1000 / milliseconds,
    }
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
}
