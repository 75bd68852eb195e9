import { start } from '../children.mjs'
import { postgresUrl, redisUrl } from '../machine.mjs'
import { shuffled } from '../statistics.mjs'
import { openByHand } from './by-hand.mjs'
import { fill } from './fill.mjs'
import { available, names } from './names.mjs'
import { clear, createPlace, openStore } from './place.mjs'
import { reportStores } from './report.mjs'

const servers = { postgres: postgresUrl !== '', redis: redisUrl !== '' }

/**
 * Microseconds to verify a key or a session, by store: a fresh process for each store, records created once.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const stores = {
  name: 'stores',
  rounds: 15,
  share: 35,
  settings: (mode) => ({
    count: mode === 'check' ? 10 : 100,
    cachedBatch: 256,
    ...{
      full: { batch: 100, batches: 4, warm: 150 },
      quick: { batch: 100, batches: 5, warm: 100 },
      check: { batch: 20, batches: 1, warm: 1 },
    }[mode],
  }),
  async prepare({ settings: { count } }) {
    const place = createPlace()
    /** @type {Partial<Record<import('./names.mjs').StoreName, import('./fill.mjs').Filled>>} */
    const filled = {}
    const dispose = () => clear(place, servers)
    try {
      for (const id of available(servers)) {
        // Accounts in memory would not be there for the next process.
        if (id === 'memory' || id === 'redis') continue
        const store = await openStore(id, place)
        filled[id] = await fill(store, count)
        await store.close()
        const hand = await openByHand(id, place)
        await hand.put(filled[id])
        await hand.close()
      }
    } catch (error) {
      await dispose()
      throw error
    }
    return { state: { place, filled }, dispose }
  },
  async *measure({ random, round, seed, settings, state: { place, filled } }) {
    for (const id of shuffled(available(servers), random)) {
      const worker = start(new URL('worker.mjs', import.meta.url), [], [], { core: 'server' })
      try {
        const question = { id, place, filled: filled[id], seed: seed + round, ...settings }
        const results = await worker.ask(question)
        for (const kind of names[id].kinds) yield { id: `${id} ${kind}`, values: results[kind] }
      } finally {
        await worker.stop()
      }
    }
  },
  report: reportStores,
}
