// Needs OpenClaw: UPGATE_OPENCLAW names its openclaw.mjs, UPGATE_OPENCLAW_NODE a Node that runs it (24 or newer).
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../../test/free-port.ts'
import { api, logIn, newDevice, type StageFront, startStageFront } from './stage/front.ts'
import { newKey, StageNode } from './stage/node.ts'

const { UPGATE_OPENCLAW: openclaw, UPGATE_OPENCLAW_NODE: node = process.execPath, PATH } = process.env

interface RealGateway {
  readonly port: number
  readonly folder: string
  readonly env: Readonly<Record<string, string | undefined>>
  close(): Promise<void>
}

async function startReal(auth: object): Promise<RealGateway> {
  const folder = mkdtempSync(join(tmpdir(), 'openclaw-real-'))
  const port = await freePort()
  const controlUi = { allowedOrigins: ['https://claw.example.com'] }
  const gateway = { mode: 'local', bind: 'loopback', port, trustedProxies: ['127.0.0.1'], controlUi, auth }
  const config = join(folder, 'openclaw.json')
  writeFileSync(config, JSON.stringify({ gateway }))
  const env = { PATH, HOME: folder, OPENCLAW_STATE_DIR: folder, OPENCLAW_CONFIG_PATH: config }
  const child: ChildProcess = spawn(node, [openclaw ?? '', 'gateway', 'run', '--port', String(port)], { env })
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk) => {
      output += chunk
      // Until then it answers every `connect` with UNAVAILABLE.
      if (output.includes('startup outcomes') && output.includes('heartbeat')) resolve()
    })
    child.stderr?.on('data', (chunk) => {
      output += chunk
    })
    child.once('close', () => reject(new Error(output.slice(-2000))))
  })
  return {
    port,
    folder,
    env,
    async close() {
      const closed = new Promise((resolve) => child.once('close', resolve))
      child.kill('SIGKILL')
      await closed
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

const from = { 'x-forwarded-for': '203.0.113.9' }

/** Runs a command of OpenClaw against the gateway. */
function command(gateway: RealGateway, ...args: readonly string[]): Promise<string> {
  const child = spawn(node, [openclaw ?? '', ...args], { env: gateway.env })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk
    })
  }
  return new Promise((resolve) => child.once('close', () => resolve(output)))
}

describe.skipIf(openclaw === undefined)('the real gateway, with its trusted-proxy login', () => {
  let gateway: RealGateway
  let stage: StageFront
  let cookie: string
  beforeAll(async () => {
    gateway = await startReal({
      mode: 'trusted-proxy',
      password: 'real-gateway-password',
      trustedProxy: {
        userHeader: 'x-forwarded-user',
        requiredHeaders: ['x-forwarded-proto', 'x-forwarded-host'],
        allowLoopback: true,
      },
    })
    stage = await startStageFront(gateway.port, {
      UPSTREAM_TOKEN: '',
      UPSTREAM_PASSWORD: 'real-gateway-password',
    })
    cookie = await logIn(stage.front)
  }, 180_000)
  afterAll(async () => {
    await stage?.close()
    await gateway?.close()
  })

  it('shows its pages to people, and only to people', async () => {
    const page = (headers: Record<string, string>) =>
      fetch(stage.front.origin, { headers: { ...from, ...headers }, redirect: 'manual' })
    expect((await page({})).status).toBe(401)
    const shown = await page({ cookie })
    expect([shown.status, await shown.text()]).toEqual([200, expect.stringContaining('openclaw')])
  })

  it('accepts a node under a key of the front, and loses it with its device', async () => {
    const { id, token } = await newDevice(stage.front)
    const node = new StageNode(stage.front.port, newKey(), { headers: from })
    const { params, ...request } = await node.request()
    const { device: _, ...rest } = params as Record<string, unknown>
    node.socket.send(JSON.stringify({ ...request, params: { ...rest, auth: { deviceToken: token } } }))
    const hello = await node.message()
    expect(hello).toMatchObject({ ok: true, payload: { type: 'hello-ok', auth: { role: 'node' } } })
    await stage.front.services.devices.revoke(id)
    expect((await node.closed).code).toBe(4403)
  })
})

describe.skipIf(openclaw === undefined)('the real gateway, with its shared token', () => {
  let gateway: RealGateway
  let stage: StageFront
  const auth = { token: 'the-gateways-own-token' }
  beforeAll(async () => {
    gateway = await startReal({ mode: 'token', ...auth })
    stage = await startStageFront(gateway.port, { NODES: 'handed-nonce' })
  }, 180_000)
  afterAll(async () => {
    await stage?.close()
    await gateway?.close()
  })

  it('knows a node by its own key, through one proof for both', async () => {
    const cookie = await logIn(stage.front)
    const key = newKey()
    const ask = async () => {
      const asking = new StageNode(stage.front.port, key, { auth, headers: from })
      const answer = await asking.connect()
      return {
        asking,
        answer,
        details: (answer.error as { details: Record<string, string> } | undefined)?.details,
      }
    }
    const here = (await ask()).details
    const path = `pairings/${here?.requestId}/approve`
    await api(stage.front, cookie, 'POST', path, { comparisonCode: here?.comparisonCode })
    const there = (await ask()).details
    expect(there).toMatchObject({ code: 'PAIRING_REQUIRED', deviceId: key.id })
    await command(gateway, 'devices', 'approve', there?.requestId ?? '')
    const { answer, asking } = await ask()
    expect(answer).toMatchObject({ ok: true, payload: { type: 'hello-ok', auth: { role: 'node' } } })
    asking.socket.terminate()
  })
})
