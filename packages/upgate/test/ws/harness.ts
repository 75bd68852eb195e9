import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import {
  type AuditEvent,
  createGate,
  type Gate,
  type Principal,
  type Revocation,
  type RevocationReason,
  type RevocationSelector,
  type RuleOptions,
  type Scheme,
  type Verification,
} from 'upgate'
import { type ManualClock, manualClock } from 'upgate/testing'
import {
  createQuarantine,
  type Handshake,
  jsonFrame,
  type Quarantine,
  type QuarantineOptions,
} from 'upgate/ws'
import { type ServerOptions, WebSocket, WebSocketServer } from 'ws'
import { NodeRequest } from '../../src/node/request.ts'
import { respondToSocket } from '../../src/node/respond.ts'
import { certificate } from '../pitfalls/tls-fixture.ts'

/** Long enough not to count as something that could be guessed. */
export const goodToken = 'node-token-0123456789abcdef'
export const wrongToken = 'wrong-token-0123456789abcdef'
export const origin = 'https://gateway.example.com'

export function device(id: string, extra: Partial<Principal> = {}): Principal {
  return {
    kind: 'device',
    id,
    scheme: 'token',
    credentialId: `${id}-credential`,
    scopes: ['node.run'],
    roles: ['node'],
    attributes: {},
    ...extra,
  }
}

export type Verify = (value: string) => Verification | Promise<Verification>

/** What the table does not know is rejected. */
export function table(principals: Readonly<Record<string, Principal>>): Verify {
  return (value) => {
    const principal = Object.hasOwn(principals, value) ? principals[value] : undefined
    return principal
      ? { outcome: 'authenticated', principal }
      : { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
  }
}

export interface Options {
  readonly verify?: Verify
  readonly handshake?: Handshake
  readonly limits?: QuarantineOptions
  readonly server?: ServerOptions
  /** Makes the WebSocket object at the 101: the quarantine answers by hand only for servers of `ws` itself. */
  readonly eager?: boolean
  /** Through TLS. Default: as UPGATE_SOCKETS says. */
  readonly tls?: boolean
  readonly rules?: readonly RuleOptions[]
  /** What happens between the decision and its being carried out. */
  readonly slowDecision?: () => Promise<void>
}

export interface Harness {
  readonly clock: ManualClock
  readonly gate: Gate
  readonly server: Server
  readonly tls: boolean
  readonly port: number
  readonly wss: WebSocketServer
  readonly quarantine: Quarantine
  readonly events: AuditEvent[]
  readonly errors: string[]
  /** The same with all fields, as JSON. */
  readonly logged: string[]
  /** What the application's `connection` listener was given. */
  readonly connections: { ws: WebSocket; request: IncomingMessage; principal: Principal | undefined }[]
  revoke(selector: RevocationSelector, reason?: RevocationReason): void
  /** Calls with the socket of each connection: of TLS, where the server speaks TLS. */
  onSocket(listener: (socket: Socket) => void): void
  connect(headers?: Record<string, string>, path?: string, protocols?: string[]): Client
  /** `behind`: the bytes in the packet, or record of TLS, of the upgrade. */
  raw(headers?: readonly string[], path?: string, behind?: Buffer): Promise<RawPeer>
  close(): Promise<void>
}

/** UPGATE_SOCKETS=tls: every socket of a harness goes through TLS; `eager,tls` also makes its WebSocket object at the 101. */
export const allThroughTls = process.env.UPGATE_SOCKETS?.split(',').includes('tls') ?? false

class EagerServer extends WebSocketServer {}

const open: Harness[] = []

/** Closes everything that tests left open. */
export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((harness) => harness.close()))
}

export async function start(options: Options = {}): Promise<Harness> {
  const tls = options.tls ?? allThroughTls
  const clock = manualClock()
  const listeners = new Set<(revocation: Revocation) => void>()
  let sequence = 0
  const verify = options.verify ?? table({ [goodToken]: device('node-1') })
  const errors: string[] = []
  const logged: string[] = []
  const scheme: Scheme = {
    name: 'token',
    ambient: false,
    extract(request) {
      const value = /^Bearer (.+)$/.exec(String(request.headers.authorization ?? ''))?.[1]
      if (value === undefined) return undefined
      return { location: 'authorization', credential: { type: 'token', source: 'header', value } }
    },
    claims: (credential) => credential.type === 'token' || credential.type === 'password',
    verify: (credential) => verify(String(credential.value)),
    revocations: {
      sequence: () => sequence,
      subscribe(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
  }
  const handshake = options.handshake ?? jsonFrame({ credential: (m) => m.auth?.token })
  const gate = createGate({
    clock,
    logger: {
      warn: (message) => void errors.push(`warn: ${message}`),
      error: (message, fields) => {
        errors.push(`error: ${message} ${String(fields?.error ?? '')}`)
        logged.push(JSON.stringify({ message, ...fields }))
      },
    },
    origins: [origin],
    trustedProxies: ['loopback'],
    schemes: [scheme],
    rules: options.rules ?? [
      { path: '/ws', access: 'deferred', kinds: ['device'], handshake },
      { path: '/feed', access: 'public', upgrade: true },
      { path: '/strict', access: 'required', kinds: ['user', 'device'] },
    ],
  }) as unknown as Gate
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  const quarantine = createQuarantine(gate, options.limits)
  const wss = new (options.eager ? EagerServer : WebSocketServer)({ noServer: true, ...options.server })
  const connections: Harness['connections'] = []
  wss.on('connection', (ws: WebSocket, request: IncomingMessage, principal: Principal | undefined) => {
    connections.push({ ws, request, principal })
  })
  const server: Server = tls ? createTlsServer(certificate) : createServer()
  server.on('upgrade', async (request, socket, head) => {
    socket.on('error', () => {})
    const asked = new NodeRequest('upgrade', request)
    const decision = await gate.decide(asked)
    await options.slowDecision?.()
    if (decision.outcome === 'preflight' || decision.outcome === 'document')
      throw new Error('an upgrade is no preflight')
    const forwarded = request.headers['x-forwarded-for']
    const clientAddress = typeof forwarded === 'string' ? forwarded : undefined
    const refused = quarantine.admit({ wss, request, socket, head, decision, clientAddress })
    if (refused) respondToSocket(socket, gate.render(refused, asked), clock)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = (server.address() as AddressInfo).port
  const clients = new Set<{ destroy(): void }>()

  const harness: Harness = {
    clock,
    gate,
    server,
    tls,
    port,
    wss,
    quarantine,
    events,
    errors,
    logged,
    connections,
    revoke(selector, reason = 'revoked') {
      const revocation = { sequence: ++sequence, at: clock.now(), selector, reason }
      for (const listener of listeners) listener(revocation)
    },
    onSocket(listener) {
      server.on(tls ? 'secureConnection' : 'connection', listener)
    },
    connect(headers = {}, path = '/ws', protocols = []) {
      const client = new Client(port, path, headers, protocols, tls)
      clients.add(client)
      return client
    },
    async raw(headers = [], path = '/ws', behind = Buffer.alloc(0)) {
      const peer = new RawPeer(port, path, headers, tls, behind)
      clients.add(peer)
      return peer
    },
    async close() {
      for (const client of clients) client.destroy()
      const drained = quarantine.close()
      clock.advance(5000)
      await drained
      gate.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  open.push(harness)
  return harness
}

export interface Closed {
  readonly code: number
  readonly reason: string
}

/** A client of `ws` that records the frames and the close that it receives. */
export class Client {
  readonly ws: WebSocket
  readonly messages: string[] = []
  status: number | undefined
  refusal: IncomingMessage | undefined
  #closed: Closed | undefined
  readonly #watchers: Set<() => void> = new Set()

  constructor(
    port: number,
    path: string,
    headers: Record<string, string>,
    protocols: string[],
    tls: boolean,
  ) {
    this.ws = new WebSocket(`${tls ? 'wss' : 'ws'}://127.0.0.1:${port}${path}`, protocols, {
      rejectUnauthorized: false,
      headers: { host: 'gateway.example.com', ...headers },
    })
    this.ws.on('message', (data) => {
      this.messages.push(String(data))
      this.#notify()
    })
    this.ws.on('open', () => this.#notify())
    this.ws.on('error', () => this.#notify())
    this.ws.on('unexpected-response', (_, response) => {
      this.status = response.statusCode
      this.refusal = response
      response.resume()
      this.#notify()
    })
    this.ws.on('close', (code, reason) => {
      this.#closed = { code, reason: String(reason) }
      this.#notify()
    })
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher()
  }

  async #when(condition: () => boolean, what: string): Promise<void> {
    if (condition()) return
    await new Promise<void>((resolve, reject) => {
      const watcher = (): void => {
        const over = this.#closed !== undefined && what !== 'close'
        if (!condition() && !over) return
        this.#watchers.delete(watcher)
        if (condition()) resolve()
        else reject(new Error(`closed with ${JSON.stringify(this.#closed)} before: ${what}`))
      }
      this.#watchers.add(watcher)
    })
  }

  opened(): Promise<void> {
    return this.#when(() => this.ws.readyState >= 1 && this.status === undefined, 'open')
  }

  async refused(): Promise<number> {
    await this.#when(() => this.status !== undefined, 'refusal')
    return this.status as number
  }

  async message(index = 0): Promise<Record<string, unknown>> {
    await this.#when(() => this.messages.length > index, `message ${index}`)
    return JSON.parse(this.messages[index] as string) as Record<string, unknown>
  }

  async closed(): Promise<Closed> {
    await this.#when(() => this.#closed !== undefined, 'close')
    return this.#closed as Closed
  }

  async send(...messages: (string | object)[]): Promise<void> {
    await this.opened()
    for (const message of messages) {
      this.ws.send(
        typeof message === 'string' || message instanceof Uint8Array ? message : JSON.stringify(message),
      )
    }
  }

  destroy(): void {
    this.ws.on('error', () => {})
    this.ws.terminate()
  }
}

/** A TCP peer that writes WebSocket frames by hand. */
export class RawPeer {
  readonly socket: Socket
  readonly #tcp: Socket
  readonly #chunks: Buffer[] = []
  ended = false
  closed = false
  #notify: Set<() => void> = new Set()

  constructor(port: number, path: string, headers: readonly string[], tls: boolean, behind: Buffer) {
    this.#tcp = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    this.#tcp.on('error', () => {})
    this.socket = tls
      ? connectTls({ socket: this.#tcp, allowHalfOpen: true, rejectUnauthorized: false } as never)
      : this.#tcp
    this.socket.on('error', () => {})
    this.socket.on('data', (chunk) => {
      this.#chunks.push(chunk)
      for (const notify of this.#notify) notify()
    })
    this.socket.on('end', () => {
      this.ended = true
      for (const notify of this.#notify) notify()
    })
    this.socket.on('close', () => {
      this.closed = true
      for (const notify of this.#notify) notify()
    })
    this.socket.write(Buffer.concat([Buffer.from(upgradeRequest(path, headers)), behind]))
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  get text(): string {
    return this.received.toString('latin1')
  }

  async until(condition: (peer: RawPeer) => boolean): Promise<void> {
    if (condition(this)) return
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        const met = condition(this)
        if (!met && !this.closed) return
        this.#notify.delete(look)
        if (met) resolve()
        else reject(new Error(`closed; received ${JSON.stringify(this.text)}`))
      }
      this.#notify.add(look)
    })
  }

  upgraded(): Promise<void> {
    return this.until((peer) => peer.text.includes('\r\n\r\n'))
  }

  gone(): Promise<void> {
    return this.until((peer) => peer.ended || peer.closed)
  }

  write(...frames: Buffer[]): boolean {
    return this.socket.write(Buffer.concat(frames))
  }

  /** Ends with RST. */
  reset(): void {
    this.#tcp.resetAndDestroy()
  }

  destroy(): void {
    this.socket.destroy()
    this.#tcp.destroy()
  }
}

export function upgradeRequest(path: string, headers: readonly string[] = []): string {
  return [
    `GET ${path} HTTP/1.1`,
    'Host: gateway.example.com',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
    '',
    '',
  ].join('\r\n')
}

/** A masked frame as a client sends it. */
export function frame(opcode: number, payload: string | Buffer, fin = true): Buffer {
  const bytes = Buffer.from(payload as string)
  const mask = Buffer.from([7, 11, 13, 17])
  const first = (fin ? 0x80 : 0) | opcode
  let head: Buffer
  if (bytes.length < 126) head = Buffer.from([first, 0x80 | bytes.length])
  else if (bytes.length < 65536) {
    head = Buffer.alloc(4)
    head[0] = first
    head[1] = 0x80 | 126
    head.writeUInt16BE(bytes.length, 2)
  } else {
    head = Buffer.alloc(10)
    head[0] = first
    head[1] = 0x80 | 127
    head.writeUInt32BE(bytes.length, 6)
  }
  const masked = Buffer.alloc(bytes.length)
  for (let i = 0; i < bytes.length; i++) masked[i] = (bytes[i] as number) ^ (mask[i & 3] as number)
  return Buffer.concat([head, mask, masked])
}

export const text = (payload: string | object): Buffer =>
  frame(1, typeof payload === 'string' ? payload : JSON.stringify(payload))

export const auth = (token: string = goodToken): object => ({ auth: { token } })

/**
 * Resolves when a condition holds, looking again at every turn of the event loop. The bound is a time, not a number of
 * turns: an idle loop makes 20,000 turns before a busy machine has run a thread or another process once.
 */
export async function eventually(condition: () => boolean): Promise<void> {
  const late = performance.now() + 20_000
  while (!condition()) {
    if (performance.now() > late) throw new Error(`It never held: ${condition}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Lets everything that is under way arrive. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A promise with its handles. */
export function deferredPromise<T>(): {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: unknown) => void
} {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** Random numbers from 0 to 1 that are the same in every run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
