import { start } from '../children.mjs'
import { versionsOfPeers } from '../peers.mjs'
import { shuffled } from '../statistics.mjs'
import { essentialPeers, peers } from './peers.mjs'
import { reportHttp } from './report.mjs'
import { reportPeers } from './report-peers.mjs'

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
    http: { warm: 12_000, load: 7000 },
    express: { warm: 5000, load: 2500 },
    koa: { warm: 7000, load: 4000 },
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

/** The samples of our own servers with which the libraries are compared. */
const yardsticks = /** @type {const} */ (['bare', 'hand', 'gate'])

/** Enough to see every server answer. */
const essential = variants.filter(([load, guard]) => load === 'key' && guard === 'gate')

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
  share: 205,
  settings: (mode) => ({ connections: 16, requests: amounts[mode] }),
  async *measure({ random, mode, settings }) {
    for (const framework of shuffled(frameworks, random)) {
      for (const [load, guard] of shuffled(mode === 'check' ? essential : variants, random)) {
        // A framework adds its own time to all of them: there, public paths say nothing that bare `http` does not.
        if (framework !== 'http' && load === 'public') continue
        const own = guard === 'control' ? 'bare' : guard
        yield { id: `${framework} ${load} ${guard}`, values: await ours(framework, own, load, settings) }
      }
    }
  },
  report: reportHttp,
}

/**
 * Other libraries, and Upgate, on the framework that each is for.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const libraries = {
  name: 'libraries',
  rounds: 3,
  share: 75,
  comparesPeers: true,
  settings: (mode, available) =>
    available.peers && {
      connections: 16,
      requests: amounts[mode],
      versions: versionsOfPeers(peers.map(({ library }) => library)),
    },
  async *measure({ random, mode, settings }) {
    const { connections, requests } = settings
    const samples = (mode === 'check' ? essentialPeers : peers).map(
      ({ id, framework, guard, amount = requests[framework] }) => {
        const most = requests[framework]
        const counts = {
          warm: Math.min(most.warm, Math.ceil(amount.warm / (mode === 'quick' ? 2 : 1))),
          load: Math.min(most.load, Math.ceil(amount.load / (mode === 'quick' ? 2 : 1))),
        }
        const program = new URL('../../peers/http.mjs', import.meta.url)
        const args = [framework, guard]
        const run = () => sample(program, args, '/api/items', { connections, ...counts })
        return { framework: /** @type {string} */ (framework), id, run }
      },
    )
    for (const framework of mode === 'check' ? [] : /** @type {const} */ (['http', 'express'])) {
      for (const guard of yardsticks) {
        const run = () => ours(framework, guard, 'key', settings)
        samples.push({ framework, id: `${framework} key ${guard}`, run })
      }
    }
    // Samples that are compared are measured within seconds.
    for (const framework of shuffled([...new Set(samples.map((each) => each.framework))], random)) {
      const together = samples.filter((each) => each.framework === framework)
      for (const { id, run } of shuffled(together, random)) yield { id, values: await run() }
    }
  },
  report: reportPeers,
}

/**
 * @param {Framework} framework
 * @param {Guard} guard
 * @param {Load} load
 * @param {any} settings
 */
function ours(framework, guard, load, { connections, requests }) {
  const program = new URL('server.mjs', import.meta.url)
  const path = load === 'key' ? '/api/items' : '/health'
  return sample(program, [framework, guard, load], path, { connections, ...requests[framework] })
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
