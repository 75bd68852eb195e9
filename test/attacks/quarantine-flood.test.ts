/*
 * Hostile peers of every kind at once, from one address and from many, while devices connect: each device gets in, the
 * application meets no one else, and no socket keeps a place or ends twice. UPGATE_FLOOD_ROUNDS makes the flood longer,
 * UPGATE_FLOOD_SEED another one.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { createGate, createServices, deviceKey, deviceToken, memoryStore, type Scheme } from 'upgate'
import { deviceAuthText } from 'upgate/protocol'
import { guardServer, type Handshake, type HandshakeContext, upgateHandshake } from 'upgate/ws'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { randomOf } from './path-grammar.ts'

const rounds = Number(process.env.UPGATE_FLOOD_ROUNDS ?? 12)
const seed = Number(process.env.UPGATE_FLOOD_SEED ?? 1)
const peersOfRound = 40
const devicesOfRound = 3
/** Upgrades that one device tries until it is in. */
const mostTries = 2_000

const random = randomOf(seed)
/** The next number below another one. */
const below = (limit: number): number => Math.floor(random() * limit)

const services = createServices({ store: memoryStore() })
/** Takes some turns of the event loop: its client may be gone when the upgrade is decided. */
const slow: Scheme = {
  name: 'slow',
  ambient: false,
  extract({ headers }) {
    if (headers.authorization !== 'Bearer slow') return undefined
    return { location: 'authorization', credential: { type: 'token', source: 'header', value: 'slow' } }
  },
  async verify() {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    return { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
  },
}
const ends = new Map<HandshakeContext, number>()
const plain = upgateHandshake({ deviceKeys: true })
const handshake: Handshake = {
  ...plain,
  open(context) {
    ends.set(context, 0)
    return plain.open?.(context) ?? []
  },
  closed(context) {
    ends.set(context, (ends.get(context) ?? Number.NaN) + 1)
  },
}
const gate = createGate({
  origins: ['http://app.example.com'],
  trustedProxies: ['loopback'],
  logger: { warn() {}, error() {} },
  schemes: [
    slow,
    deviceToken({ devices: services.devices }),
    deviceKey({ pairing: services.pairing, devices: services.devices }),
  ],
  rules: [{ path: '/nodes', access: 'deferred', kinds: ['device'], handshake }],
})
const wss = new WebSocketServer({ noServer: true })
const server = createServer()
const guard = guardServer(server, gate, {
  sockets: { '/nodes': wss },
  maxSockets: 48,
  maxSocketsPerAddress: 8,
  deadline: 400,
  pressureDeadline: 200,
  hold: 20,
  closeGrace: 100,
})
/** Messages of each device to the application. */
const heard = new Map<string, string[]>()
guard.on('/nodes', (socket, _request, { id }) => {
  const said: string[] = []
  heard.set(id, said)
  socket.on('message', (data) => said.push(String(data)))
  for (const client of wss.clients) client.send('{"type":"news"}')
})
let port = 0
beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(async () => {
  for (const { socket } of peers) socket.destroy()
  await guard.close()
  await services.close()
  server.closeAllConnections()
  server.close()
})

interface Peer {
  readonly socket: Socket
  /** Everything received, in Latin-1. */
  text: string
}

const peers: Peer[] = []

function dial(address: string | undefined, lines: readonly string[] = []): Peer {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const peer: Peer = { socket, text: '' }
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    peer.text += chunk.toString('latin1')
  })
  const forwarded = address === undefined ? [] : [`X-Forwarded-For: ${address}`]
  const head = ['GET /nodes HTTP/1.1', 'Host: app.example.com', 'Connection: Upgrade', 'Upgrade: websocket']
  const key = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
  socket.write([...head, ...key, ...forwarded, ...lines, '', ''].join('\r\n'))
  peers.push(peer)
  return peer
}

/** Resolves when a peer has received something; false if it is closed before. */
async function received({ socket }: Peer, condition: () => boolean): Promise<boolean> {
  while (!condition()) {
    if (socket.readableEnded || socket.destroyed) return false
    await new Promise<void>((resolve) => {
      const settled = (): void => {
        for (const event of ['data', 'end', 'close']) socket.removeListener(event, settled)
        resolve()
      }
      for (const event of ['data', 'end', 'close']) socket.once(event, settled)
    })
  }
  return true
}

/** A masked frame; the mask is zero, so that the payload can be read. */
function frame(opcode: number, payload: string, fin = true): Buffer {
  const bytes = Buffer.from(payload)
  const long = bytes.length > 125
  const head = Buffer.alloc(long ? 8 : 6)
  head[0] = (fin ? 0x80 : 0) | opcode
  head[1] = 0x80 | (long ? 126 : bytes.length)
  if (long) head.writeUInt16BE(bytes.length, 2)
  return Buffer.concat([head, bytes])
}

const auth = (token: string): Buffer => frame(1, JSON.stringify({ type: 'auth', token }))
const evil = frame(1, '{"type":"evil"}')
let wrongToken = ''

async function upgraded(address: string | undefined): Promise<Peer | undefined> {
  const peer = dial(address)
  const open = await received(peer, () => peer.text.includes('\r\n\r\n'))
  return open && peer.text.startsWith('HTTP/1.1 101') ? peer : undefined
}

const { publicKey, privateKey } = generateKeyPairSync('ed25519') as {
  publicKey: KeyObject
  privateKey: KeyObject
}
const rawKey = (publicKey.export({ format: 'jwk' }) as { x: string }).x

const attacks: Readonly<Record<string, (address: string | undefined) => unknown>> = {
  silent: (address) => dial(address),
  'never reads': (address) => dial(address).socket.pause(),
  async drip(address) {
    const peer = await upgraded(address)
    for (const byte of auth(wrongToken)) {
      if (peer === undefined || peer.socket.destroyed) return
      await new Promise<void>((resolve) => peer.socket.write(Buffer.from([byte]), () => resolve()))
    }
  },
  ping: async (address) =>
    (await upgraded(address))?.socket.write(Buffer.concat(Array.from({ length: 200 }, () => frame(9, 'x')))),
  async fragment(address) {
    const parts = Array.from({ length: 50 }, () => frame(0, 'x', false))
    ;(await upgraded(address))?.socket.write(Buffer.concat([frame(1, '{', false), ...parts]))
  },
  async 'unknown key'(address) {
    const peer = await upgraded(address)
    if (peer === undefined) return
    const challenge = /\{"type":"auth_challenge".*?\}/
    if (!(await received(peer, () => challenge.test(peer.text)))) return
    const { nonce } = JSON.parse(challenge.exec(peer.text)?.[0] ?? '') as { nonce: string }
    const about = { publicKey: rawKey, signedAt: Date.now(), nonce }
    const signature = sign(null, Buffer.from(deviceAuthText(about) as string), privateKey).toString(
      'base64url',
    )
    const device = { publicKey: rawKey, signature, signedAt: about.signedAt }
    peer.socket.write(Buffer.concat([frame(1, JSON.stringify({ type: 'auth', device })), evil]))
  },
  'wrong credential': async (address) =>
    (await upgraded(address))?.socket.write(Buffer.concat([auth(wrongToken), evil])),
  'no handshake': async (address) => (await upgraded(address))?.socket.write(evil),
  'a broken frame': async (address) => (await upgraded(address))?.socket.write(Buffer.from([0xff, 0, 1, 2])),
  'ends early': (address) => dial(address, ['Authorization: Bearer slow']).socket.end(),
  'resets early': (address) => {
    const { socket } = dial(address, ['Authorization: Bearer slow'])
    socket.once('connect', () => socket.resetAndDestroy())
  },
  resets: async (address) => (await upgraded(address))?.socket.resetAndDestroy(),
  storm: (address) => dial(address).socket.destroySoon(),
}
const kinds = Object.values(attacks)
/** One address, many addresses, and clients that the proxy says nothing about. */
const addresses = [() => '198.51.100.7', () => `192.0.2.${below(250)}`, () => undefined]

/** Connects a device, as often as it takes. */
async function enter(address: string, token: string): Promise<Peer> {
  for (let i = 0; i < mostTries; i++) {
    const peer = await upgraded(address)
    // In one chunk with the credential: the application gets it after the acceptance.
    peer?.socket.write(Buffer.concat([auth(token), frame(1, 'hello')]))
    if (peer && (await received(peer, () => peer.text.includes('"news"')))) return peer
  }
  throw new Error(`The device at ${address} did not get in.`)
}

it('lets devices in, and no one else, and forgets every peer', async () => {
  const stale = await services.devices.create({ name: 'stale' })
  wrongToken = stale.token
  await services.devices.revoke(stale.record.id)
  const inside: Peer[] = []
  const ids: string[] = []
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < peersOfRound; i++) {
      const address = addresses[below(addresses.length)]?.()
      void kinds[below(kinds.length)]?.(address)
    }
    const entering = Array.from({ length: devicesOfRound }, async (_, i) => {
      const n = round * devicesOfRound + i
      const { token, record } = await services.devices.create({ name: `device ${n}` })
      ids.push(record.id)
      inside.push(await enter(`203.0.${n >> 8}.${n & 255}`, token))
    })
    await Promise.all(entering)
    expect(wss.clients.size).toBeLessThanOrEqual(guard.counts.accepted)
  }

  // Most peers never end by themselves: the gate ends them.
  const none = { quarantined: 0, verifying: 0, refused: 0, anonymous: 0 }
  await vi.waitFor(() => expect(guard.counts).toMatchObject({ ...none, accepted: ids.length }), 20_000)
  expect([...heard.keys()].sort()).toEqual([...ids].sort())
  await vi.waitFor(() => expect([...heard.values()].every(([first]) => first === 'hello')).toBe(true), 20_000)
  for (const said of heard.values()) expect(said).toEqual(['hello'])
  for (const peer of peers) if (!inside.includes(peer)) expect(peer.text).not.toContain('"news"')

  for (const { socket } of inside) socket.destroy()
  await vi.waitFor(() => expect(guard.counts).toMatchObject({ ...none, accepted: 0 }), 20_000)
  expect(wss.clients.size).toBe(0)
  expect(ends.size).toBeGreaterThan(ids.length)
  expect([...ends.values()].filter((count) => count !== 1)).toEqual([])
})
