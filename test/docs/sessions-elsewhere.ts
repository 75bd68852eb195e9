import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Gate } from 'upgate'
import { WebSocket } from 'ws'
import { stripTypes } from './strip-types.ts'

export const origin = 'http://localhost:8787'

/** What the programs of the guide export. */
export interface Program {
  readonly server: Server
  readonly gate: Gate
}

/** A program of the guide, as printed, running on a free port; `nth` where a heading has several. */
export async function run<P extends Program>(
  heading: string,
  { guide: file = 'guide-sessions-elsewhere', nth = 0 } = {},
): Promise<{ program: P; stop(): Promise<void> }> {
  const guide = readFileSync(new URL(`../../docs/${file}.md`, import.meta.url), 'utf8')
  const section = guide.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? ''
  const source = [...section.matchAll(/^```[jt]s\n(\/\/ server\.(?:mjs|ts).*?)^```/gms)][nth]?.[1]
  if (source === undefined) throw new Error(`the guide has no program under ${heading}`)
  const folder = mkdtempSync(fileURLToPath(new URL('tmp-', import.meta.url)))
  writeFileSync(`${folder}/server.mjs`, stripTypes(source))
  process.env.PORT = '0'
  try {
    const program = (await import(`${folder}/server.mjs`)) as P
    if (!program.server.listening) await once(program.server, 'listening')
    return {
      program,
      async stop() {
        program.gate.close()
        program.server.closeAllConnections()
        await new Promise((resolve) => program.server.close(resolve))
      },
    }
  } finally {
    delete process.env.PORT
    rmSync(folder, { recursive: true })
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The cookies that were set, as a browser sends them back. */
  readonly cookie: string
}

/** A browser without a jar: the calling test says which cookies go along. */
export class Browser {
  readonly #server: Server
  constructor(server: Server) {
    this.#server = server
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async get(path: string, cookie?: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#send('GET', path, cookie, undefined, headers)
  }

  async post(path: string, body: unknown, cookie?: string, from = origin): Promise<Answer> {
    return this.#send('POST', path, cookie, JSON.stringify(body), { origin: from })
  }

  async #send(
    method: string,
    path: string,
    cookie: string | undefined,
    body: string | undefined,
    extra: Record<string, string>,
  ): Promise<Answer> {
    const headers = { host: 'localhost:8787', ...(cookie && { cookie }), ...extra }
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    const asked = request({ port: this.#port, method, path, headers: { ...headers, ...type }, agent: false })
    asked.end(body)
    const [response] = await once(asked, 'response')
    let text = ''
    for await (const chunk of response) text += chunk
    const set: readonly string[] = response.headers['set-cookie'] ?? []
    return {
      status: response.statusCode,
      headers: response.headers,
      body: text,
      cookie: set.map((line) => line.slice(0, line.indexOf(';'))).join('; '),
    }
  }

  open(cookie?: string, from: string | undefined = origin, path = '/ws/chat'): Socket {
    return new Socket(
      new WebSocket(`ws://127.0.0.1:${this.#port}${path}`, {
        headers: { host: 'localhost:8787', ...(cookie && { cookie }), ...(from && { origin: from }) },
      }),
    )
  }
}

/** A socket as a page sees it. */
export class Socket {
  readonly ws: WebSocket
  readonly messages: string[] = []
  /** HTTP status of an upgrade that was refused. */
  readonly refused: Promise<number>
  readonly closed: Promise<readonly [code: number, reason: string]>

  constructor(ws: WebSocket) {
    this.ws = ws
    ws.on('error', () => {})
    ws.on('message', (data) => this.messages.push(String(data)))
    this.refused = new Promise((resolve) => {
      ws.once('unexpected-response', (_request, response) => {
        resolve(response.statusCode ?? 0)
        ws.terminate()
      })
    })
    this.closed = new Promise((resolve) => {
      ws.once('close', (code, reason) => resolve([code, String(reason)]))
    })
  }

  async message(): Promise<string> {
    if (this.messages.length === 0) await once(this.ws, 'message')
    return this.messages[0] ?? ''
  }
}
