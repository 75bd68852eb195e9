import { start } from '../children.mjs'
import { seededRandom, shuffled } from '../statistics.mjs'

/**
 * @typedef {import('./servers.mjs').Guard} Guard
 * @typedef {'waiting' | 'accepted'} Stage Open and silent; open and known by its first frame
 * @typedef {object} Samples
 * @property {number[]} accepts A second
 * @property {number[]} cpu Server CPU in milliseconds per 1,000 sockets
 * @property {number[]} resident Bytes a socket
 * @property {number[]} heap Bytes a socket
 * @typedef {Record<string, Samples>} SocketResult By `stage guard`
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
const essential = variants.filter(([stage, guard]) => stage === 'accepted' || guard === 'gate')

/**
 * Sockets opened, and kept: a fresh server and a fresh client for every sample, in random order.
 *
 * @param {import('../options.mjs').Options} options
 * @param {(text: string) => void} progress
 * @returns {Promise<SocketResult>}
 */
export async function runSockets({ rounds, quick, check, seed }, progress) {
  const random = seededRandom(seed)
  const counts = check
    ? { warm: 20, count: 40 }
    : quick
      ? { warm: 500, count: 1000 }
      : { warm: 1500, count: 3000 }
  /** @type {SocketResult} */
  const result = {}
  for (let round = 0; round < rounds; round++) {
    progress(`ws: round ${round + 1} of ${rounds}`)
    for (const [stage, guard] of shuffled(check ? essential : variants, random)) {
      const values = await sample(stage, guard === 'control' ? 'bare' : guard, counts)
      const name = `${stage} ${guard}`
      result[name] ??= { accepts: [], cpu: [], resident: [], heap: [] }
      const samples = result[name]
      samples.accepts.push(values.accepts)
      samples.cpu.push(values.cpu)
      samples.resident.push(values.resident)
      samples.heap.push(values.heap)
    }
  }
  return result
}

/**
 * @param {Stage} stage
 * @param {Guard} guard
 * @param {{ warm: number, count: number }} counts Sockets opened before anything is measured, and then
 */
async function sample(stage, guard, { warm, count }) {
  const server = start(new URL('server.mjs', import.meta.url), [guard], ['--expose-gc'])
  const client = start(new URL('client.mjs', import.meta.url))
  try {
    const { port, tokens } = await server.ask({ what: 'where' })
    await client.ask({ what: 'aim', port, tokens: stage === 'accepted' ? tokens : undefined })
    await client.ask({ what: 'open', count: warm })
    const before = { ...(await server.ask({ what: 'memory' })), ...(await server.ask({ what: 'cpu' })) }
    const { milliseconds } = await client.ask({ what: 'open', count })
    const cpu = await server.ask({ what: 'cpu' })
    const after = { ...(await server.ask({ what: 'memory' })), ...cpu }
    if (after[stage] !== warm + count) {
      throw new Error(`${guard}: ${after[stage]} of ${warm + count} sockets are ${stage}`)
    }
    return {
      accepts: (count * 1000) / milliseconds,
      cpu: (after.user - before.user + after.system - before.system) / count,
      resident: (after.rss - before.rss) / count,
      heap: (after.heap - before.heap) / count,
    }
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
}
