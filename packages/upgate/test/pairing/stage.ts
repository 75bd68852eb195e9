import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  type AuditEvent,
  claimSecret,
  createGate,
  createServices,
  deviceKey,
  deviceToken,
  memoryStore,
  type Principal,
  type Scheme,
  type ServicesOptions,
  type Store,
} from 'upgate'
import { deviceAuthText } from 'upgate/protocol'
import { type ManualClock, manualClock } from 'upgate/testing'
import { guardServer, type Handshake, upgateHandshake } from 'upgate/ws'
import { WebSocket, WebSocketServer } from 'ws'

export const origin = 'https://gateway.example.com'

/** An Ed25519 key of a device. */
export class DeviceIdentity {
  readonly #privateKey: KeyObject
  readonly raw: Buffer

  constructor() {
    const pair = generateKeyPairSync('ed25519')
    this.#privateKey = pair.privateKey
    this.raw = pair.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
  }

  get publicKey(): string {
    return this.raw.toString('base64url')
  }

  get id(): string {
    return createHash('sha256').update(this.raw).digest('hex')
  }

  sign(text: string | Uint8Array): string {
    return sign(null, Buffer.from(text as string), this.#privateKey).toString('base64url')
  }
}

export interface Wish {
  readonly role?: string
  readonly scopes?: readonly string[]
  readonly name?: string
  readonly token?: string
}

/** The signed `auth` frame of a device. */
export function signedAuth(device: DeviceIdentity, nonce: string, at: number, wish: Wish = {}): object {
  const { publicKey } = device
  const text = deviceAuthText({ publicKey, nonce, signedAt: at, ...wish }) as string
  return { type: 'auth', ...wish, device: { publicKey, signedAt: at, signature: device.sign(text) } }
}

/** The opaque credential of our own handshake, created without a socket. */
export function credentialOf(device: DeviceIdentity, at: number, wish: Wish = {}, handshake = withKeys) {
  const context = {
    state: undefined as unknown,
    now: () => at,
    randomId: () => `nonce-${Math.random()}`,
    httpPrincipal: undefined,
    value: undefined,
    path: '/ws',
    clientAddress: undefined,
    gone: false,
  }
  const [opening] = (handshake.open?.(context) ?? []) as readonly string[]
  const { nonce } = JSON.parse(opening ?? '') as { nonce: string }
  const text = JSON.stringify(signedAuth(device, nonce, at, wish))
  const step = handshake.receive({ binary: false, text }, context)
  if (step.step !== 'credential') throw new Error(JSON.stringify(step))
  return step.credential
}

const withKeys = upgateHandshake({ deviceKeys: true })

export function admin(extra: Partial<Principal> = {}): Principal {
  return {
    kind: 'user',
    id: 'ada',
    scheme: 'session',
    scopes: ['node.run', 'operator.admin', 'operator.read'],
    roles: ['admin'],
    attributes: {},
    ...extra,
  }
}

export type Gateway = Awaited<ReturnType<typeof startGateway>>
const open: { close(): Promise<void> }[] = []

export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((one) => one.close()))
}

export interface GatewayOptions {
  readonly services?: Partial<ServicesOptions>
  readonly store?: Store
  readonly handshake?: Handshake
  readonly schemes?: readonly Scheme[]
  readonly introducers?: readonly Scheme[]
  readonly clock?: ManualClock
  readonly demands?: { readonly scopes?: readonly string[]; readonly schemes?: readonly string[] }
}

/** A gateway on loopback with a deferred `/ws` for devices and an HTTP route for their tokens. */
export async function startGateway(options: GatewayOptions = {}) {
  const clock = options.clock ?? manualClock()
  const store = options.store ?? memoryStore()
  const services = createServices({ clock, store, limits: { logInterval: 0 }, ...options.services })
  const { pairing, devices } = services
  const { introducers = [] } = options
  const errors: string[] = []
  const gate = createGate({
    clock,
    logger: {
      warn: () => {},
      error: (message, fields) => void errors.push(`${message} ${String(fields?.error ?? '')}`),
    },
    origins: [origin],
    trustedProxies: ['loopback'],
    schemes: [
      deviceToken({ devices }),
      deviceKey({ pairing, devices, introducers }),
      claimSecret({ pairing, devices, introducers }),
      ...(options.schemes ?? []),
    ],
    rules: [
      {
        path: '/ws',
        access: 'deferred',
        kinds: ['device'],
        handshake: options.handshake ?? withKeys,
        ...options.demands,
      },
      { path: '/api/me', access: 'required', kinds: ['device'] },
    ],
  })
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  const server = createServer((request, response) => {
    response.end(gate.principalOf(request)?.id)
  })
  const wss = new WebSocketServer({ noServer: true })
  const accepted: Principal[] = []
  wss.on('connection', (ws: WebSocket, _request: unknown, principal: Principal) => {
    accepted.push(principal)
    ws.on('message', (data) => ws.send(`echo ${String(data)}`))
  })
  const guarded = guardServer(server, gate, { sockets: { '/ws': wss }, hold: 0 })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const gateway = {
    clock,
    store,
    services,
    pairing,
    gate,
    events,
    errors,
    accepted,
    port,
    server,
    steps: () => events.flatMap((event) => (event.type === 'pairing' ? [event.step] : [])),
    async close() {
      const drained = guarded.close()
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
      clock.advance(5000)
      await drained
      gate.close()
      await services.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  open.push(gateway)
  return gateway
}

export type Answer = Record<string, unknown> & {
  readonly facts?: Readonly<Record<string, string>>
  readonly code?: string
  readonly deviceToken?: string
}

/** A socket of a device, with the server's messages and its end. */
export interface Connection {
  readonly ws: WebSocket
  readonly challenge: Record<string, unknown> | undefined
  next(): Promise<Answer>
  closed(): Promise<{ readonly code: number; readonly reason: string }>
}

export async function dial(
  port: number,
  options: { readonly challenge?: boolean; readonly headers?: Record<string, string>; path?: string } = {},
): Promise<Connection> {
  const { challenge = true, headers = {}, path = '/ws' } = options
  const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
    headers: { host: 'gateway.example.com', ...headers },
  })
  const messages: string[] = []
  const waiters: ((text: string) => void)[] = []
  ws.on('message', (data) => {
    const waiter = waiters.shift()
    if (waiter === undefined) messages.push(String(data))
    else waiter(String(data))
  })
  const end = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on('close', (code, reason) => resolve({ code, reason: String(reason) }))
  })
  const next = async (): Promise<Answer> => {
    const text =
      messages.shift() ??
      (await Promise.race([
        new Promise<string>((resolve) => waiters.push(resolve)),
        end.then(({ code, reason }) => JSON.stringify({ closed: code, reason })),
      ]))
    return text.startsWith('{') ? (JSON.parse(text) as Answer) : { text }
  }
  await once(ws, 'open')
  return { ws, challenge: challenge ? await next() : undefined, next, closed: () => end }
}

/** The nonce of a challenge, in our own protocol or in that of `connect`. */
export function nonceOf({ challenge }: Connection): string {
  const { nonce, payload } = (challenge ?? {}) as { nonce?: string; payload?: { nonce?: string } }
  return nonce ?? payload?.nonce ?? ''
}

/** Connects, proves the key, and returns the answer. */
export async function connect(
  gateway: Pick<Gateway, 'port' | 'clock'>,
  device: DeviceIdentity,
  wish: Wish = {},
  headers: Record<string, string> = {},
): Promise<{ readonly answer: Answer; readonly connection: Connection }> {
  const connection = await dial(gateway.port, { headers })
  const nonce = String(connection.challenge?.nonce)
  connection.ws.send(JSON.stringify(signedAuth(device, nonce, gateway.clock.now(), wish)))
  return { answer: await connection.next(), connection }
}

/** Pairs a device: connects, approves, collects. Returns its token and its connection. */
export async function pairDevice(gateway: Gateway, device: DeviceIdentity, scopes = ['node.run']) {
  const made = await gateway.pairing.bootstrap.create({ actor: admin(), scopes })
  if (made.outcome !== 'done') throw new Error(made.reason)
  const { answer } = await connect(gateway, device, { token: made.code })
  const approved = await gateway.pairing.approve(answer.facts?.requestId as string, { actor: admin() })
  if (approved.outcome !== 'done') throw new Error(approved.reason)
  const collected = await connect(gateway, device)
  return { ...collected, token: collected.answer.deviceToken as string }
}
