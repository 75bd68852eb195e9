import { start } from '../children.mjs'
import { openClawVersion, sampleOpenClaw, startOpenClaw } from '../openclaw/gateway.mjs'
import { versionsOfPeers } from '../peers.mjs'
import { shuffled } from '../statistics.mjs'
import { fixedHeap } from './memory.mjs'
import { reportSockets } from './report.mjs'

/**
 * @typedef {'waiting' | 'accepted'} Stage Open and silent; open and known by its first frame
 */

/**
 * The samples of a round: a server, and how its clients get in.
 *
 * @typedef {object} Variant
 * @property {Stage} stage
 * @property {string} guard In the id of the sample
 * @property {string} dialect
 * @property {string} [server] If it is called otherwise
 * @property {boolean} [peer] A library of `bench/peers`, or Upgate in front of one
 */

/** The control is the bare server once more. @type {readonly Variant[]} */
const variants = [
  { stage: 'waiting', guard: 'bare', dialect: 'upgate' },
  { stage: 'waiting', guard: 'control', dialect: 'upgate', server: 'bare' },
  { stage: 'waiting', guard: 'hand', dialect: 'upgate' },
  { stage: 'waiting', guard: 'gate', dialect: 'upgate' },
  { stage: 'waiting', guard: 'socket.io', dialect: 'socket.io', peer: true },
  { stage: 'waiting', guard: 'graphql-ws', dialect: 'graphql-ws', peer: true },
  { stage: 'accepted', guard: 'bare', dialect: 'upgate' },
  { stage: 'accepted', guard: 'hand', dialect: 'upgate' },
  { stage: 'accepted', guard: 'gate', dialect: 'upgate' },
  { stage: 'accepted', guard: 'hand-header', dialect: 'header' },
  { stage: 'accepted', guard: 'gate-header', dialect: 'header', server: 'gate' },
  { stage: 'accepted', guard: 'socket.io', dialect: 'socket.io', peer: true },
  { stage: 'accepted', guard: 'graphql-ws', dialect: 'graphql-ws', peer: true },
  { stage: 'accepted', guard: 'graphql-ws-gate', dialect: 'graphql-ws', peer: true },
]

/** OpenClaw's gateway, where there is one: few sockets, since it spends milliseconds on each. */
function openClaw() {
  const version = openClawVersion()
  if (version === undefined) return {}
  return { openClaw: { version, warm: 50, count: 100 } }
}

/** Enough to see every server open and accept. */
const essential = variants.filter(
  ({ stage, guard }) => stage === 'accepted' && guard !== 'bare' && guard !== 'gate-header',
)

/**
 * Sockets opened, and kept: a fresh server and a fresh client for every sample, in random order.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const ws = {
  name: 'ws',
  rounds: 15,
  share: 250,
  comparesPeers: true,
  settings: (mode, { peers }) => ({
    concurrency: 32,
    devices: 100,
    // Libraries differ by more than the noise: they are measured in the first of so many rounds.
    every: mode === 'full' ? 5 : 1,
    ...{
      full: { warm: 2500, settle: 6000, count: 2000 },
      quick: { warm: 800, settle: 1200, count: 600 },
      check: { warm: 20, settle: 40, count: 40 },
    }[mode],
    ...(peers && { versions: versionsOfPeers(['socket.io', 'graphql-ws']) }),
    ...(mode !== 'check' && openClaw()),
  }),
  needs: ({ warm, settle, count }) => ({ files: warm + settle + count + 100 }),
  async prepare({ settings, say }) {
    if (settings.openClaw === undefined) return { state: undefined, dispose() {} }
    say(`starting OpenClaw ${settings.openClaw.version}`)
    const running = await startOpenClaw()
    return { state: running, dispose: running.dispose }
  },
  async *measure({ random, round, mode, settings, state: openClaw }) {
    const withPeers = round % settings.every === 0
    for (const stage of /** @type {const} */ (['waiting', 'accepted'])) {
      if (openClaw === undefined || !withPeers) break
      yield { id: `${stage} openclaw`, values: await sampleOpenClaw(openClaw, stage, settings.openClaw) }
    }
    for (const variant of shuffled(mode === 'check' ? essential : variants, random)) {
      if (variant.peer && (settings.versions === undefined || !withPeers)) continue
      yield { id: `${variant.stage} ${variant.guard}`, values: await sample(variant, settings) }
    }
  },
  report: reportSockets,
}

/**
 * Sockets accepted a second; the server's CPU in milliseconds per 1,000; bytes each that stay.
 *
 * @param {Variant} variant
 * @param {{ concurrency: number, devices: number, warm: number, settle: number, count: number }} settings Sockets opened before anything is measured; then those that count for memory, of which the last ones, `count`, count for time as well
 */
async function sample(
  { stage, guard, server: name = guard, dialect, peer },
  { concurrency, devices, warm, settle, count },
) {
  const own = new URL('server.mjs', import.meta.url)
  const program = peer ? new URL('../../peers/ws.mjs', import.meta.url) : own
  const server = start(program, [name, `${devices}`], fixedHeap, { core: 'server' })
  const client = start(new URL('client.mjs', import.meta.url), [], [], { core: 'client' })
  try {
    const { port, tokens } = await server.ask({ what: 'where' })
    const credentials = stage === 'accepted' ? tokens : undefined
    await client.ask({ what: 'aim', port, concurrency, dialect, tokens: credentials })
    await client.ask({ what: 'open', count: warm })
    const before = await server.ask({ what: 'memory' })
    // A full collection lets go of compiled code as well, and code is compiled in steps as it is used: by the time that
    // counts, V8 has done most of it.
    await client.ask({ what: 'open', count: settle })
    const idle = await server.ask({ what: 'cpu' })
    const { milliseconds } = await client.ask({ what: 'open', count })
    const busy = await server.ask({ what: 'cpu' })
    const after = await server.ask({ what: 'memory' })
    const opened = warm + settle + count
    if (after[stage] !== opened)
      throw new Error(`${guard}: ${after[stage]} of ${opened} sockets are ${stage}`)
    await client.ask({ what: 'reset' })
    return {
      accepts: (count * 1000) / milliseconds,
      cpu: (busy.user - idle.user + busy.system - idle.system) / count,
      resident: (after.rss - before.rss) / (settle + count),
      heap: (after.heap - before.heap) / (settle + count),
    }
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
}
