/* Symptoms are found by their text: each is made, and looked for in the guide as a client shows it. */
import { EventEmitter, on, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { createGate, createServices, deviceToken, memoryStore, sessionCookie } from 'upgate'
import { manualClock } from 'upgate/testing'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws'

const guide = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8')
const symptoms = guide
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split('|')[1] ?? '')

const clock = manualClock()
const { devices, sessions } = createServices({ store: memoryStore(), clock })
const application = new EventEmitter()
const accepted = on(application, 'accepted')
let server: Server
let port: number
let guard: { close(): Promise<void> }

beforeAll(async () => {
  server = createServer((_request, response) => response.end('a page'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
  const gate = createGate({
    clock,
    origins: ['http://localhost'],
    hosts: [`127.0.0.1:${port}`],
    logger: { warn() {}, error() {} },
    schemes: [sessionCookie({ sessions, secure: false }), deviceToken({ devices })],
    rules: [
      { path: ['/ws', '/throws'], access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
      { path: '/live', access: 'public', upgrade: true },
    ],
  })
  const own = (): WebSocketServer => new WebSocketServer({ noServer: true })
  const guarded = guardServer(server, gate, {
    sockets: { '/ws': own(), '/throws': own(), '/chat': own() },
    hold: 0,
  })
  guarded.on('/ws', () => void application.emit('accepted'))
  guarded.on('/throws', () => {
    throw new Error('a fault of the application')
  })
  guard = guarded
})
afterAll(async () => {
  server.close()
  await guard.close()
})

function open(path: string, headers: ClientOptions['headers'] = {}, first?: string): Promise<string> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers })
  let failed = ''
  socket.on('error', (error) => {
    failed = error.message
  })
  if (first !== undefined) socket.on('open', () => socket.send(first))
  return new Promise((resolve) => {
    socket.on('close', (code, reason) => resolve(failed || `close ${code}, ${reason}`))
  })
}

async function raw(head: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${head}\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
  const [data] = await once(socket, 'data')
  socket.destroy()
  return /^HTTP\/1\.1 (\d+)/.exec(String(data))?.[1] ?? ''
}

/** Whether the guide has a line for it: all its parts, in backticks or not. */
function expectListed(...parts: readonly string[]): void {
  const plain = symptoms.map((symptom) => symptom.replaceAll('`', ''))
  expect(plain.filter((symptom) => parts.every((part) => symptom.includes(part)))).not.toEqual([])
}

const auth = (token: string): string => JSON.stringify({ type: 'auth', token })

it.each([
  ['an upgrade without a credential', () => open('/chat'), 'Unexpected server response: 401'],
  [
    'a page of another origin',
    () => open('/chat', { origin: 'https://evil.example' }),
    'Unexpected server response: 403',
  ],
  ['a path that nothing serves', () => open('/live'), 'Unexpected server response: 404'],
  [
    'a page without a cookie',
    () => open('/chat', { origin: 'http://localhost' }),
    'close 4401, auth_required',
  ],
  ['a wrong token', () => open('/ws', {}, auth('ugd_wrong')), 'close 4401, invalid_credential'],
  ['a first frame of another protocol', () => open('/ws', {}, 'hello'), 'close 4400, bad_handshake'],
])('lists %s', async (_what, symptom, text) => {
  expect(await symptom()).toBe(text)
  expectListed(text)
})

it('lists silence', async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`)
  await once(socket, 'open')
  clock.advance(10_000)
  const [code, reason] = await once(socket, 'close')
  expect([code, String(reason)]).toEqual([4408, 'handshake_timeout'])
  expectListed('close 4408, handshake_timeout')
})

it('lists how an accepted socket ends', async () => {
  const revoked = await devices.create({ name: 'revoked' })
  const ended = open('/ws', {}, auth(revoked.token))
  await accepted.next()
  await devices.revoke(revoked.id)
  expect(await ended).toBe('close 4403, revoked')
  expectListed('close 4403', 'revoked')
  const { token } = await devices.create({ name: 'throws' })
  expect(await open('/throws', {}, auth(token))).toBe('close 1011, internal_error')
  expectListed('close 1011, internal_error')
})

it('lists what a proxy does', async () => {
  expect(await raw('GET /ws HTTP/1.1')).toBe('426')
  expectListed('426', 'upgrade_required')
  expect(await raw('GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c')).toBe('426')
  expectListed('Unexpected server response: 426')
  const foreign = await fetch(`http://localhost:${port}/page`)
  expect(foreign.headers.get('upgate-refusal')).toMatch(/^host_refused/)
  expectListed('403', 'host_refused')
})
