// The story of a report from the field: two gateways, each a node of the other, one through a forwarded port. The token
// went in the protocol and the upgrade was answered 401, because another server listened behind the port.
import { spawn } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { startTwoGateways, type TwoGateways } from '../src/two-gateways.ts'

let both: TwoGateways
const lines: string[] = []
const password = 'correct horse battery'
const cheaper = new URL('../../../test/gateway/', import.meta.url).href
beforeAll(async () => {
  both = await startTwoGateways({
    ports: { east: 0, west: 0, tunnel: 0 },
    dataDir: undefined,
    email: 'ada@example.com',
    password,
    node: ['cheap-hashes', 'quick-pairing'].map((name) => `--import=${cheaper}${name}.mjs`),
    write: (line) => void lines.push(line),
  })
  await both.pair()
})
afterAll(() => both?.stop(), 30_000)

const stateOf = async (side: 'east' | 'west') => both[side].api.remote()
const until = (side: 'east' | 'west', state: string) =>
  expect.poll(async () => (await stateOf(side)).state).toBe(state)

it('each is a node of the other, with the role node and nothing else', async () => {
  const { east, west, urls } = both
  expect((await stateOf('east')).url).toBe(urls.ofWest)
  expect((await stateOf('west')).url).toBe(urls.ofEast)
  for (const [host, node] of [
    [west, east],
    [east, west],
  ] as const) {
    expect(await host.api.nodes()).toMatchObject([{ name: `127.0.0.1:${node.port}`, role: 'node' }])
    expect(await host.api.pending()).toEqual([])
  }
  // No log has a code, token or password.
  expect(lines.join('\n')).not.toMatch(/ugd_|correct horse/)
})

describe('through the forwarded port', () => {
  interface Answer {
    readonly status: number
    readonly frame?: Record<string, unknown>
    readonly reason?: string
  }

  /** Upgrades with these headers, sends this `auth` if there is one, and answers with what came back. */
  const connect = (
    headers: Record<string, string>,
    auth?: Record<string, string>,
    protocols: string[] = [],
  ) =>
    new Promise<Answer>((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${both.tunnel.port}/ws`, protocols, { headers })
      let frame: Record<string, unknown> | undefined
      socket.on('error', () => {})
      socket.once('unexpected-response', (_request, response) =>
        resolve({ status: response.statusCode ?? 0 }),
      )
      socket.once('open', () => {
        const params = { protocol: { min: 3, max: 4 }, client: { id: 'x', version: '1' }, role: 'node', auth }
        if (auth !== undefined)
          socket.send(JSON.stringify({ type: 'req', id: '1', method: 'connect', params }))
        else socket.send('{"type":"req","id":"1","method":"whoami"}')
      })
      socket.on('message', (data) => {
        const message = JSON.parse(String(data)) as Record<string, unknown>
        if (message.type !== 'res') return
        frame = message
        if (message.ok !== true) return
        resolve({ status: 101, frame })
        socket.terminate()
      })
      socket.once('close', (_code, reason) =>
        resolve({ status: 101, ...(frame && { frame }), reason: String(reason) }),
      )
    })
  const device = async () =>
    (await both.west.api.ask('POST', '/api/devices', { name: 'laptop' })) as { token: string }

  it('the token counts in the frame, and in the Authorization of the upgrade', async () => {
    const { token } = await device()
    expect(await connect({}, { token })).toMatchObject({ frame: { ok: true, payload: { type: 'hello-ok' } } })
    const bearer = { authorization: `Bearer ${token}` }
    expect(await connect(bearer)).toMatchObject({ frame: { ok: true, payload: { name: 'laptop' } } })
    // The same one in both places is one credential; another one in the frame is refused.
    expect(await connect(bearer, { token })).toMatchObject({ frame: { ok: true } })
    const other = await device()
    expect(await connect(bearer, { token: other.token })).toMatchObject({ frame: { ok: false } })
  })

  it('a local address proves nothing, however it is claimed', async () => {
    const claims: Record<string, string>[] = [
      {},
      { 'x-forwarded-for': '127.0.0.1' },
      { 'x-real-ip': '127.0.0.1', forwarded: 'for=127.0.0.1' },
      { host: 'localhost' },
    ]
    const answers = await Promise.all(claims.map((headers) => connect(headers, {})))
    for (const { frame } of answers) {
      expect(frame).toMatchObject({ ok: false, error: { details: { reason: 'auth_required' } } })
    }
    const pages = await fetch(`http://127.0.0.1:${both.west.port}/api/nodes`)
    expect([pages.status, pages.headers.get('upgate-refusal')]).toEqual([
      401,
      expect.stringContaining('gateway'),
    ])
  })

  it('a cut comes back by itself, without a new pairing', async () => {
    await both.tunnel.cut()
    await expect
      .poll(async () => (await stateOf('east')).failure)
      .toMatchObject({ layer: 'tcp', code: 'tcp_refused' })
    // The other direction does not go through it.
    expect((await stateOf('west')).state).toBe('connected')
    await both.tunnel.restore()
    await until('east', 'connected')
    expect(await both.west.api.pending()).toEqual([])
  })

  it.each([
    [401, 'other_server_auth'],
    [200, 'other_server'],
  ])(
    'another server behind the port, which answers %s, is named as such',
    async (status, code) => {
      const other: Server = createServer((_request, response) =>
        response.writeHead(status).end('browser control'),
      )
      other.on('upgrade', (_request, socket) => {
        socket.end(`HTTP/1.1 ${status} X\r\nContent-Length: 15\r\nConnection: close\r\n\r\nbrowser control`)
      })
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
      both.tunnel.target = (other.address() as AddressInfo).port
      // The socket that is open goes on; a new one reaches the other server.
      await both.tunnel.cut()
      await both.tunnel.restore()
      await expect
        .poll(async () => (await stateOf('east')).failure, { timeout: 30_000 })
        .toMatchObject({ layer: 'wrong-server', code })
      both.tunnel.target = both.west.port
      await new Promise((resolve) => other.close(resolve))
      other.closeAllConnections()
      // The page says "Connect again": the pairing is still there, whatever another server said.
      await both.east.api.ask('POST', '/api/remote', { url: both.urls.ofWest })
      await until('east', 'connected')
      expect(await both.west.api.pending()).toEqual([])
    },
    90_000,
  )
})

it('a revocation ends the one direction, and leaves the other one', async () => {
  const [node] = await both.west.api.nodes()
  await both.west.api.ask('DELETE', `/api/devices/${node?.id}`)
  await until('east', 'stopped')
  expect((await stateOf('east')).failure).toMatchObject({ code: 'revoked' })
  expect(await both.west.api.nodes()).toEqual([])
  expect((await stateOf('west')).state).toBe('connected')
})

it('one command starts both, pairs them, and stops them', async () => {
  const entry = fileURLToPath(new URL('../dist/main.js', import.meta.url))
  const child = spawn(process.execPath, [entry, '--east=0', '--west=0', '--tunnel=0'], {
    env: { PATH: process.env.PATH, ADMIN_PASSWORD: password },
  })
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      output += chunk
      if (output.includes('Ready. East:')) resolve()
    })
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    child.once('close', () => reject(new Error(output)))
  })
  expect(output).toContain('east is a node of west')
  expect(output).toContain('west is a node of east')
  expect(output).not.toMatch(/ugd_|correct horse/)
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
})
