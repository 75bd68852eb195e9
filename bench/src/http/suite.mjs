import { start } from '../children.mjs'
import { versionsOfPeers } from '../peers.mjs'
import { shuffled } from '../statistics.mjs'
import { essentialPeers, peers } from './peers.mjs'
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

/** @type {Record<import('../suite.mjs').Mode, Record<string, import('./peers.mjs').Amount>>} */
const amounts = {
  full: {
    http: { warm: 14_000, load: 8000 },
    express: { warm: 5000, load: 2500 },
    koa: { warm: 9000, load: 5000 },
    fastify: { warm: 9000, load: 6000 },
    hono: { warm: 7000, load: 5000 },
  },
  quick: {
    http: { warm: 8000, load: 5000 },
    express: { warm: 2000, load: 1000 },
    koa: { warm: 4000, load: 2500 },
    fastify: { warm: 4000, load: 3000 },
    hono: { warm: 3000, load: 2500 },
  },
  check: {
    http: { warm: 20, load: 20 },
    express: { warm: 20, load: 20 },
    koa: { warm: 20, load: 20 },
    fastify: { warm: 20, load: 20 },
    hono: { warm: 20, load: 20 },
  },
}

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
const essential = variants.filter(([load, guard]) => load === 'key' && guard === 'gate')

/**
 * Requests through each adapter and each library: a fresh server and a fresh client for every sample, in random order.
 * Short samples: what differs from process to process is more than what differs within one. They are warmed up by
 * requests and not by time: a machine that is busy for a moment would otherwise measure a server that is half compiled,
 * at a tenth of its speed.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const http = {
  name: 'http',
  rounds: 15,
  comparesPeers: true,
  settings: (mode, { peers: withPeers }) => ({
    connections: 16,
    requests: amounts[mode],
    ...(withPeers && { versions: versionsOfPeers(peers.map(({ library }) => library)) }),
  }),
  async *measure({ random, mode, settings }) {
    const { connections, requests } = settings
    const samples = frameworks.flatMap((framework) =>
      (mode === 'check' ? essential : variants)
        // One is enough to say how much the machine differs from itself.
        .filter(([, guard]) => guard !== 'control' || framework === 'http')
        .map(([load, guard]) => ({
          framework: /** @type {string} */ (framework),
          id: `${framework} ${load} ${guard}`,
          run: () => ours(framework, guard === 'control' ? 'bare' : guard, load),
        })),
    )
    const others = settings.versions === undefined ? [] : mode === 'check' ? essentialPeers : peers
    for (const { id, framework, guard, amount = requests[framework] } of others) {
      samples.push({ framework, id, run: () => theirs(framework, guard, amount) })
    }
    // Samples that are compared are measured within seconds.
    for (const framework of shuffled([...new Set(samples.map((each) => each.framework))], random)) {
      const together = samples.filter((each) => each.framework === framework)
      for (const { id, run } of shuffled(together, random)) yield { id, values: await run() }
    }

    /**
     * @param {Framework} framework
     * @param {Guard} guard
     * @param {Load} load
     */
    function ours(framework, guard, load) {
      const program = new URL('server.mjs', import.meta.url)
      const path = load === 'key' ? '/api/items' : '/health'
      return sample(program, [framework, guard, load], path, { connections, ...requests[framework] })
    }

    /**
     * @param {string} framework
     * @param {string} guard
     * @param {import('./peers.mjs').Amount} amount
     */
    function theirs(framework, guard, amount) {
      const program = new URL('../../peers/http.mjs', import.meta.url)
      const most = requests[framework]
      const counts = {
        warm: Math.min(most.warm, Math.ceil(amount.warm / (mode === 'quick' ? 2 : 1))),
        load: Math.min(most.load, Math.ceil(amount.load / (mode === 'quick' ? 2 : 1))),
      }
      return sample(program, [framework, guard], '/api/items', { connections, ...counts })
    }
  },
  report: reportHttp,
}

/**
 * Requests a second; the server's CPU in microseconds a request; the share of the time in which it had some.
 *
 * @param {URL} program It says which headers get in
 * @param {string[]} args
 * @param {string} path
 * @param {{ connections: number, warm: number, load: number }} settings Requests before what counts, and then
 */
async function sample(program, args, path, { connections, ...requests }) {
  const server = start(program, args, [], { core: 'server' })
  const client = start(new URL('client.mjs', import.meta.url), [], [], { core: 'client' })
  try {
    const { port, headers } = await server.ask({ what: 'where' })
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
