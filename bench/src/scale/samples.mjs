import { start } from '../children.mjs'
import { fixedHeap } from '../ws/memory.mjs'

/** Milliseconds that a million records may take. */
export const patience = 120_000

/** @typedef {{ accepted: number, more: number, revoked: number, concurrency: number, cachedBatch: number, batches: number }} SocketSettings */

/**
 * @param {string | undefined} file
 * @param {number} size
 * @param {number} seed
 * @param {object} settings
 * @returns {Promise<Record<string, number>>}
 */
export async function keys(file, size, seed, settings) {
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
export async function beside(live, { accepted, more, revoked, concurrency, cachedBatch, batches }) {
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

/**
 * The processor time of the construction of a gate with so many rules of one shape.
 *
 * @param {string} shape
 * @param {number} count
 * @returns {Promise<Record<string, number>>}
 */
export async function construction(shape, count) {
  const worker = start(new URL('rules-worker.mjs', import.meta.url), [], [], { core: 'server' })
  try {
    return await worker.ask({ shape, count })
  } finally {
    await worker.stop()
  }
}

/**
 * What one account costs that has so many sessions.
 *
 * @param {number} sessions
 * @param {number} seed
 * @param {object} settings
 * @returns {Promise<Record<string, number>>}
 */
export async function tenant(sessions, seed, settings) {
  const worker = start(new URL('tenant-worker.mjs', import.meta.url), [], [], { core: 'server' })
  try {
    return await worker.ask({ ...settings, sessions, seed }, patience)
  } finally {
    await worker.stop()
  }
}

/**
 * What a newcomer costs where all places of a quarantine are taken: it displaces a socket.
 *
 * @param {string} addresses How the addresses of the clients are spread
 * @param {number} places
 * @param {{ newcomers: number, displaced: number, concurrency: number }} settings `displaced`: sockets before those that count, together with those that fill the places
 * @returns {Promise<Record<string, number>>}
 */
export async function crowd(addresses, places, { newcomers, displaced, concurrency }) {
  const program = new URL('quarantine-server.mjs', import.meta.url)
  const server = start(program, [`${places}`], [], { core: 'server' })
  const client = start(new URL('../ws/client.mjs', import.meta.url), [], [], { core: 'client' })
  const open = (/** @type {number} */ count) => client.ask({ what: 'open', count }, patience)
  try {
    const { port } = await server.ask({ what: 'where' })
    // So few that all can have a place before they displace one another.
    const atATime = Math.max(1, Math.min(concurrency, places >> 3))
    await client.ask({ what: 'aim', port, concurrency: atATime, addresses })
    await open(Math.max(displaced, places))
    const full = await server.ask({ what: 'settle' })
    const before = await server.ask({ what: 'cpu' })
    await open(newcomers)
    const still = await server.ask({ what: 'settle' })
    const after = await server.ask({ what: 'cpu' })
    if (still.waiting !== full.waiting) {
      throw new Error(`${full.waiting} sockets waited, and ${still.waiting} after ${newcomers} newcomers`)
    }
    return { newcomer: (after.user - before.user + after.system - before.system) / newcomers }
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
}
