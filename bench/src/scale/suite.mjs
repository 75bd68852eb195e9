import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { start } from '../children.mjs'
import { shuffled } from '../statistics.mjs'
import { counted } from '../table.mjs'
import { reportScale } from './report.mjs'
import { beside, construction, crowd, keys, patience, tenant } from './samples.mjs'
import { shapes } from './shapes.mjs'
import { spreads } from './spreads.mjs'

/**
 * What things cost against their number: credentials, live sockets, rules, sessions of one account, places of a full
 * quarantine. A fresh process, or a pair of them, for every size.
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
        rules: [2_000, 20_000],
        sessions: [10, 1000, 9000],
        places: [500, 4000],
        ...{ newcomers: 500, displaced: 4000 },
        ...{ batch: 100, batches: 15, warm: 150, accepted: 4000, more: 500, revoked: 200 },
      },
      quick: {
        sizes: [10, 1000, 100_000],
        sockets: [0, 1000],
        rules: [200, 2_000],
        sessions: [10, 1000],
        places: [100, 500],
        ...{ newcomers: 200, displaced: 500 },
        ...{ batch: 100, batches: 8, warm: 100, accepted: 2000, more: 300, revoked: 100 },
      },
      check: {
        sizes: [60],
        sockets: [50],
        rules: [40],
        sessions: [10],
        places: [20],
        ...{ newcomers: 5, displaced: 20 },
        ...{ known: 20, batch: 10, batches: 1, warm: 1, accepted: 100, more: 20, revoked: 10 },
      },
    }[mode],
  }),
  needs: ({ sizes, sockets, accepted, more, places, newcomers }) => ({
    files: Math.max(accepted + more, Math.max(...sockets) + more, Math.max(...places) + newcomers) + 200,
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
  async *measure({ random, round, seed, mode, settings, state: folder }) {
    const { sizes, sockets, rules, sessions, places } =
      /** @type {Record<'sizes' | 'sockets' | 'rules' | 'sessions' | 'places', number[]>} */ (settings)
    // One of a kind shows that it runs; bench/test constructs every shape.
    const every = (/** @type {object} */ kinds) =>
      Object.keys(kinds).slice(0, mode === 'check' ? 1 : undefined)
    const samples = [
      ...sizes.flatMap((size) => [
        { id: `memory ${size}`, run: () => keys(undefined, size, seed + round, settings) },
        {
          id: `sqlite ${size}`,
          run: () => keys(join(folder, `${size}.db`), size, seed + round, settings),
        },
      ]),
      ...sockets.map((live) => ({ id: `sockets ${live}`, run: () => beside(live, settings) })),
      ...every(shapes).flatMap((shape) =>
        rules.map((count) => ({ id: `rules ${shape} ${count}`, run: () => construction(shape, count) })),
      ),
      ...sessions.map((count) => ({
        id: `sessions ${count}`,
        run: () => tenant(count, seed + round, settings),
      })),
      ...every(spreads).flatMap((spread) =>
        places.map((count) => ({
          id: `places ${spread} ${count}`,
          run: () => crowd(spread, count, settings),
        })),
      ),
    ]
    for (const { id, run } of shuffled(samples, random)) yield { id, values: await run() }
  },
  report: reportScale,
}
