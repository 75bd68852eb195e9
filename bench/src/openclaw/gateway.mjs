import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { start } from '../children.mjs'

/** OpenClaw's `openclaw.mjs`, and a Node that runs it: as the tests of `examples/openclaw-front` have them. */
const { UPGATE_OPENCLAW: program = '', UPGATE_OPENCLAW_NODE: node = process.execPath } = process.env

const token = 'the-token-of-the-gateway'
/** Milliseconds in which it has to be ready. */
const patience = 90_000

/** The version of the OpenClaw that is there to be measured; `undefined` if there is none. */
export function openClawVersion() {
  if (program === '') return undefined
  const manifest = join(dirname(program), 'package.json')
  if (!existsSync(manifest)) {
    // Before anything is measured: like a wrong option.
    console.error(`UPGATE_OPENCLAW names no openclaw.mjs: there is no ${manifest}.`)
    process.exit(2)
  }
  return String(JSON.parse(readFileSync(manifest, 'utf8')).version)
}

/**
 * Starts OpenClaw's gateway with a shared token, in a folder for its state that is removed afterwards.
 *
 * @returns {Promise<{ port: number, gateway: import('../children.mjs').Child, dispose(): Promise<void> }>}
 */
export async function startOpenClaw() {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-bench-openclaw-'))
  const port = await freePort()
  const config = join(folder, 'openclaw.json')
  const auth = { mode: 'token', token }
  const gateway = { mode: 'local', bind: 'loopback', port, trustedProxies: ['127.0.0.0/8'], auth }
  writeFileSync(config, JSON.stringify({ gateway }))
  const probe = fileURLToPath(new URL('probe.mjs', import.meta.url))
  const child = start(
    pathToFileURL(program),
    ['gateway', 'run', '--port', `${port}`],
    ['--import', probe, '--min-semi-space-size=16', '--max-semi-space-size=16'],
    {
      core: 'server',
      kept: true,
      execPath: node,
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        TMPDIR: folder,
        OPENCLAW_STATE_DIR: folder,
        OPENCLAW_CONFIG_PATH: config,
        UPGATE_BENCH_PROBE: '1',
      },
    },
  )
  const dispose = async () => {
    await child.stop()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    await ready(port, child)
    return { port, gateway: child, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

/**
 * Waits until it accepts a client: before, it answers every one with UNAVAILABLE.
 *
 * @param {number} port
 * @param {import('../children.mjs').Child} gateway
 */
async function ready(port, gateway) {
  const until = performance.now() + patience
  for (;;) {
    const client = openClawClient()
    try {
      await client.ask({ what: 'aim', port, concurrency: 1, dialect: 'openclaw', tokens: [token] })
      await client.ask({ what: 'open', count: 1 })
      return
    } catch (error) {
      if (!gateway.alive() || performance.now() > until) throw error
    } finally {
      await client.stop()
    }
    await sleep(500)
  }
}

const openClawClient = () => start(new URL('../ws/client.mjs', import.meta.url), [], [], { core: 'client' })

/**
 * One sample of the running gateway: it takes seconds to start, so that it is one process for all rounds.
 *
 * @param {{ port: number, gateway: import('../children.mjs').Child }} running
 * @param {'waiting' | 'accepted'} stage
 * @param {{ warm: number, count: number }} settings
 */
export async function sampleOpenClaw({ port, gateway }, stage, { warm, count }) {
  const client = openClawClient()
  const open = (/** @type {number} */ sockets) => client.ask({ what: 'open', count: sockets }, patience)
  try {
    const tokens = stage === 'accepted' ? [token] : undefined
    await client.ask({ what: 'aim', port, concurrency: 16, dialect: 'openclaw', tokens })
    await open(warm)
    const empty = stage === 'waiting' ? await gateway.ask({ what: 'memory' }) : undefined
    const idle = await gateway.ask({ what: 'cpu' })
    const { milliseconds } = await open(count)
    const busy = await gateway.ask({ what: 'cpu' })
    const full = empty && (await gateway.ask({ what: 'memory' }))
    await client.ask({ what: 'reset' })
    return {
      accepts: (count * 1000) / milliseconds,
      cpu: (busy.user - idle.user + busy.system - idle.system) / count,
      // A few hundred sockets do not show in its hundreds of resident megabytes.
      ...(full && { heap: (full.heap - empty.heap) / count }),
    }
  } finally {
    await client.stop()
  }
}

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  await new Promise((resolve) => server.close(resolve))
  return port
}
