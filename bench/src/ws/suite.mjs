import { start } from '../children.mjs'
import { shuffled } from '../statistics.mjs'
import { fixedHeap } from './memory.mjs'
import { reportSockets } from './report.mjs'

/**
 * @typedef {import('./servers.mjs').Guard} Guard
 * @typedef {'waiting' | 'accepted'} Stage Open and silent; open and known by its first frame
 */

/** The control is the bare server once more. */
const variants = /** @type {const} */ ([
  ['waiting', 'bare'],
  ['waiting', 'control'],
  ['waiting', 'hand'],
  ['waiting', 'gate'],
  ['accepted', 'bare'],
  ['accepted', 'hand'],
  ['accepted', 'gate'],
])

/** Enough to see every server open and accept. */
const essential = variants.filter(([stage]) => stage === 'accepted')

/**
 * Sockets opened, and kept: a fresh server and a fresh client for every sample, in random order.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const ws = {
  name: 'ws',
  rounds: 15,
  settings: (mode) => ({
    concurrency: 32,
    devices: 100,
    ...{
      full: { warm: 2500, count: 2000 },
      quick: { warm: 1500, count: 1000 },
      check: { warm: 20, count: 40 },
    }[mode],
  }),
  needs: ({ warm, count }) => ({ files: warm + 2 * count + 100 }),
  async *measure({ random, mode, settings }) {
    for (const [stage, guard] of shuffled(mode === 'check' ? essential : variants, random)) {
      const values = await sample(stage, guard === 'control' ? 'bare' : guard, settings)
      yield { id: `${stage} ${guard}`, values }
    }
  },
  report: reportSockets,
}

/**
 * Sockets accepted a second; the server's CPU in milliseconds per 1,000; bytes each that stay.
 *
 * @param {Stage} stage
 * @param {Guard} guard
 * @param {{ concurrency: number, devices: number, warm: number, count: number }} settings Sockets opened before anything is measured; then for memory, and of those the second half for time
 */
async function sample(stage, guard, { concurrency, devices, warm, count }) {
  const program = new URL('server.mjs', import.meta.url)
  const server = start(program, [guard, `${devices}`], fixedHeap, { core: 'server' })
  const client = start(new URL('client.mjs', import.meta.url), [], [], { core: 'client' })
  try {
    const { port, tokens } = await server.ask({ what: 'where' })
    await client.ask({ what: 'aim', port, concurrency, tokens: stage === 'accepted' ? tokens : undefined })
    await client.ask({ what: 'open', count: warm })
    const before = await server.ask({ what: 'memory' })
    // A full collection lets go of compiled code as well: it is there again by the time that counts.
    await client.ask({ what: 'open', count })
    const idle = await server.ask({ what: 'cpu' })
    const { milliseconds } = await client.ask({ what: 'open', count })
    const busy = await server.ask({ what: 'cpu' })
    const after = await server.ask({ what: 'memory' })
    const opened = warm + 2 * count
    if (after[stage] !== opened)
      throw new Error(`${guard}: ${after[stage]} of ${opened} sockets are ${stage}`)
    await client.ask({ what: 'reset' })
    return {
      accepts: (count * 1000) / milliseconds,
      cpu: (busy.user - idle.user + busy.system - idle.system) / count,
      resident: (after.rss - before.rss) / (2 * count),
      heap: (after.heap - before.heap) / (2 * count),
    }
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
}
