import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { WebSocket } from 'ws'

type Json = Readonly<Record<string, unknown>>

/** The key of a node. */
export interface NodeKey {
  readonly id: string
  readonly publicKey: string
  readonly privateKey: KeyObject
}

export function newKey(): NodeKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
  return {
    id: createHash('sha256').update(raw).digest('hex'),
    publicKey: raw.toString('base64url'),
    privateKey,
  }
}

export interface NodeOptions {
  readonly auth?: Json
  readonly headers?: Readonly<Record<string, string>>
  readonly path?: string
  readonly name?: string
}

/** A node on its wire: everything it hears, and a way to wait for it. */
export class StageNode {
  readonly socket: WebSocket
  readonly heard: (Json | Buffer)[] = []
  readonly closed: Promise<{ readonly code: number; readonly reason: string; readonly at: number }>
  readonly challenge: Promise<{ readonly nonce: string; readonly ts: number }>
  readonly opened: Promise<number>
  readonly #takers: ((message: Json | Buffer) => void)[] = []
  readonly #key: NodeKey
  readonly #options: NodeOptions

  constructor(port: number, key: NodeKey, options: NodeOptions = {}) {
    this.#key = key
    this.#options = options
    const { headers = {}, path = '/' } = options
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers, maxPayload: 64 * 1024 * 1024 })
    this.socket.on('error', () => {})
    this.opened = new Promise((resolve) => {
      this.socket.once('open', () => resolve(101))
      this.socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
      this.socket.once('close', () => resolve(0))
    })
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code, reason) =>
        resolve({ code, reason: String(reason), at: performance.now() }),
      )
    })
    this.challenge = new Promise((resolve) => {
      this.socket.on('message', (data: Buffer, isBinary) => {
        const message = isBinary ? data : (JSON.parse(String(data)) as Json)
        if (!isBinary && (message as Json).event === 'connect.challenge') {
          resolve((message as Json).payload as { nonce: string; ts: number })
          return
        }
        const taker = this.#takers.shift()
        if (taker === undefined) this.heard.push(message)
        else taker(message)
      })
    })
  }

  /** The next message. */
  message(): Promise<Json | Buffer> {
    const first = this.heard.shift()
    return first === undefined ? new Promise((resolve) => this.#takers.push(resolve)) : Promise.resolve(first)
  }

  /** Its `connect` request, signed over the challenge. */
  async request(): Promise<Json> {
    const { nonce, ts } = await this.challenge
    return requestFor(this.#key, nonce, ts, this.#options)
  }

  /** Connects; answers with the response. */
  async connect(): Promise<Json> {
    this.socket.send(JSON.stringify(await this.request()))
    return (await this.message()) as Json
  }
}

export function requestFor(key: NodeKey, nonce: string, ts: number, options: NodeOptions = {}): Json {
  const { auth = {}, name = 'kitchen' } = options
  const client = { id: 'node-host', displayName: name, version: '1', platform: 'Linux', mode: 'node' }
  const token = String(auth.token ?? auth.deviceToken ?? auth.bootstrapToken ?? '')
  const text = ['v3', key.id, client.id, client.mode, 'node', '', ts, token, nonce, 'linux', ''].join('|')
  return {
    type: 'req',
    id: 'c1',
    method: 'connect',
    params: {
      minProtocol: 3,
      maxProtocol: 4,
      client,
      role: 'node',
      scopes: [],
      caps: ['system'],
      commands: ['system.run'],
      auth,
      device: {
        id: key.id,
        publicKey: key.publicKey,
        signature: sign(null, Buffer.from(text), key.privateKey).toString('base64url'),
        signedAt: ts,
        nonce,
      },
    },
  }
}
