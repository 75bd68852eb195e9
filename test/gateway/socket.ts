import { WebSocket } from 'ws'

type Json = Readonly<Record<string, unknown>>

/** A client's socket that records its messages and events for the test. */
export class TestSocket {
  readonly #socket: WebSocket
  readonly #messages: Json[] = []
  readonly #takers: ((message: Json) => void)[] = []
  /** HTTP status of the answer to the upgrade: 101, or that of the refusal. */
  readonly upgraded: Promise<{ status: number; body: string }>
  readonly closed: Promise<{ code: number; reason: string; at: number }>

  constructor(url: string, headers: Readonly<Record<string, string>> = {}) {
    this.#socket = new WebSocket(url.replace(/^http/, 'ws'), { headers })
    this.#socket.on('error', () => {})
    this.#socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as Json
      // Every connection of a node begins with it; a node with a token does not need it.
      if (message.event === 'connect.challenge') return
      const taker = this.#takers.shift()
      if (taker === undefined) this.#messages.push(message)
      else taker(message)
    })
    this.upgraded = new Promise((resolve) => {
      this.#socket.once('open', () => resolve({ status: 101, body: '' }))
      this.#socket.once('unexpected-response', (_request, response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text
        })
        response.once('end', () => resolve({ status: response.statusCode ?? 0, body }))
      })
    })
    this.closed = new Promise((resolve) => {
      this.#socket.once('close', (code, reason) =>
        resolve({ code, reason: String(reason), at: performance.now() }),
      )
    })
  }

  send(message: unknown): void {
    this.#socket.send(
      typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message),
    )
  }

  /** The next message. */
  message(): Promise<Json> {
    const message = this.#messages.shift()
    return message === undefined
      ? new Promise((resolve) => this.#takers.push(resolve))
      : Promise.resolve(message)
  }

  /** The next message of a type, skipping others. */
  async messageOf(type: string): Promise<Json> {
    for (;;) {
      const message = await this.message()
      if (message.type === type) return message
    }
  }

  /** Messages that arrived and were not taken yet. */
  get waiting(): readonly Json[] {
    return this.#messages
  }

  close(): void {
    this.#socket.terminate()
  }
}

/** The first frame of a node. */
export function connectRequest(token: unknown, more: Json = {}): Json {
  return {
    type: 'req',
    id: '1',
    method: 'connect',
    params: {
      protocol: { min: 3, max: 4 },
      client: { id: 'test', version: '1', platform: 'test', mode: 'node' },
      role: 'node',
      scopes: [],
      auth: { deviceToken: token },
      ...more,
    },
  }
}

/** Connects a node that is accepted; rejects if it is not. */
export async function connectNode(origin: string, token: string): Promise<TestSocket> {
  const socket = new TestSocket(`${origin}/ws`)
  await socket.upgraded
  socket.send(connectRequest(token))
  const answer = await socket.message()
  if (answer.ok !== true) throw new Error(`The node was refused: ${JSON.stringify(answer)}`)
  return socket
}
