import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { start } from '../children.mjs'
import { shuffled } from '../statistics.mjs'
import { counted } from '../table.mjs'
import { fixedHeap } from '../ws/memory.mjs'
import { reportScale } from './report.mjs'

/** Milliseconds that a million records may take. */
const patience = 120_000

/** @typedef {{ accepted: number, more: number, revoked: number, concurrency: number, cachedBatch: number, batches: number }} SocketSettings */

/**
 * What a decision costs against the number of credentials that there are, and of sockets that are live: a fresh
 * process, or a pair of them, for every size.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const scale = {
  name: 'scale',
  rounds: 3,
  share: 16,
  settings: (mode) => ({
    known: 5000,
    hot: 10,
    cachedBatch: 256,
    concurrency: 32,
    ...{
      full: {
        sizes: [10, 1000, 100_000, 1_000_000],
        sockets: [0, 1000, 10_000],
        ...{ batch: 100, batches: 15, warm: 150, accepted: 4000, more: 500, revoked: 200 },
      },
      quick: {
        sizes: [10, 1000, 100_000],
        sockets: [0, 1000],
        ...{ batch: 100, batches: 8, warm: 100, accepted: 2000, more: 300, revoked: 100 },
      },
      check: {
        sizes: [10, 60],
        sockets: [0, 50],
        ...{ known: 20, batch: 10, batches: 1, warm: 1, accepted: 100, more: 20, revoked: 10 },
      },
    }[mode],
  }),
  needs: ({ sizes, sockets, accepted, more }) => ({
    files: Math.max(accepted, ...sockets) + more + 200,
    memory: 256 * 2 ** 20 + 2000 * Math.max(...sizes),
  }),
  async prepare({ settings: { sizes, known }, say }) {
    const folder = mkdtempSync(join(tmpdir(), 'upgate-bench-'))
    const dispose = () => rmSync(folder, { recursive: true, force: true })
    const filler = start(new URL('filler.mjs', import.meta.url))
    try {
      for (const size of sizes) {
        if (size >= 1_000_000) say(`filling SQLite with ${counted(size)} keys`)
        await filler.ask({ file: join(folder, `${size}.db`), size, known }, patience)
      }
      return { state: folder, dispose }
    } catch (error) {
      dispose()
      throw error
    } finally {
      await filler.stop()
    }
  },
  async *measure({ random, round, seed, settings, state: folder }) {
    const { sizes, sockets } = /** @type {{ sizes: number[], sockets: number[] }} */ (settings)
    const samples = [
      ...sizes.flatMap((size) => [
        { id: `memory ${size}`, run: () => keys(undefined, size, seed + round, settings) },
        {
          id: `sqlite ${size}`,
          run: () => keys(join(folder, `${size}.db`), size, seed + round, settings),
        },
      ]),
      ...sockets.map((live) => ({ id: `sockets ${live}`, run: () => beside(live, settings) })),
    ]
    for (const { id, run } of shuffled(samples, random)) yield { id, values: await run() }
  },
  report: reportScale,
}

/**
 * @param {string | undefined} file
 * @param {number} size
 * @param {number} seed
 * @param {object} settings
 * @returns {Promise<Record<string, number>>}
 */
async function keys(file, size, seed, settings) {
  const flags = ['--max-old-space-size=4096']
  const worker = start(new URL('keys-worker.mjs', import.meta.url), [], flags, { core: 'server' })
  try {
    return await worker.ask({ ...settings, file, size, seed }, patience)
  } finally {
    await worker.stop()
  }
}

/**
 * What things cost on a server that has so many live sockets.
 *
 * @param {number} live
 * @param {SocketSettings} settings
 * @returns {Promise<Record<string, number>>}
 */
async function beside(live, { accepted, more, revoked, concurrency, cachedBatch, batches }) {
  // Everything is compiled before it counts, however few sockets there will be.
  const warm = Math.max(accepted - live, 2 * revoked)
  const program = new URL('socket-server.mjs', import.meta.url)
  const server = start(program, [`${warm + live + more}`], fixedHeap, { core: 'server' })
  const client = start(new URL('../ws/client.mjs', import.meta.url), [], [], { core: 'client' })
  const open = (/** @type {number} */ first, /** @type {number} */ count) =>
    client.ask({ what: 'open', first, count }, patience)
  try {
    const { port, tokens } = await server.ask({ what: 'where' })
    await client.ask({ what: 'aim', port, concurrency, dialect: 'upgate', tokens })
    await open(0, warm)
    await server.ask({ what: 'revoke', first: 0, count: revoked })
    await client.ask({ what: 'reset' })
    await server.ask({ what: 'until', accepted: 0 })

    await open(warm, live)
    const decided = await server.ask({ what: 'decide', batch: cachedBatch, batches })
    const cpu = await server.ask({ what: 'cpu' })
    await open(warm + live, more)
    const spent = await server.ask({ what: 'cpu' })
    const ended = await server.ask({ what: 'revoke', first: warm + live, count: revoked })
    // Last, as a full collection lets go of compiled code as well.
    const left = live + more - revoked
    await server.ask({ what: 'until', accepted: left })
    const full = await server.ask({ what: 'memory' })
    await client.ask({ what: 'reset' })
    await server.ask({ what: 'until', accepted: 0 })
    const empty = await server.ask({ what: 'memory' })
    return {
      decide: decided.microseconds,
      accept: (spent.user - cpu.user + spent.system - cpu.system) / more,
      revoke: ended.microseconds,
      ...(live === 0 ? {} : { heap: (full.heap - empty.heap) / left }),
    }
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
}
