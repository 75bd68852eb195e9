import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { type Clock, createEdgeSim, type EdgeSim, type EdgeSimOptions } from '@upgate/edge-sim'
import type { JWK } from 'jose'
import { afterEach } from 'vitest'
import { WebSocketServer } from 'ws'

/** Time under the test's control: nothing here ever sleeps. */
export interface ManualClock extends Clock {
  advance(milliseconds: number): void
}

export function manualClock(start = Date.UTC(2026, 9, 1)): ManualClock {
  let now = start
  const timers = new Set<{ at: number; callback: () => void }>()
  return {
    now: () => now,
    setTimer(milliseconds, callback) {
      const timer = { at: now + milliseconds, callback }
      timers.add(timer)
      return { cancel: () => void timers.delete(timer) }
    },
    advance(milliseconds) {
      const end = now + milliseconds
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        if (next === undefined) break
        timers.delete(next)
        now = next.at
        next.callback()
      }
      now = end
    },
  }
}

/** Two key pairs, made once per test file: generating them is the slow part of starting a simulator. */
const PAIRS: readonly JWK[] = Array.from({ length: 4 }, () => {
  // Through PEM: exporting a fresh key as a JWK can deadlock Node 20 (see src/signing-keys.ts).
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return createPrivateKey(privateKey).export({ format: 'jwk' }) as JWK
})
export const ACME_KEYS: readonly JWK[] = PAIRS.slice(0, 2)
export const GLOBEX_KEYS: readonly JWK[] = PAIRS.slice(2)

/** What the origin saw of one request. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly body: string
  readonly peer: string
  readonly upgrade: boolean
}

export interface Origin {
  readonly url: string
  readonly seen: Seen[]
  readonly last: Seen
  readonly server: Server
  readonly sockets: Set<Socket>
  close(): Promise<void>
}

type Handler = (req: IncomingMessage, res: import('node:http').ServerResponse) => boolean

/** Starts an origin that marks its answers, answers with the request it saw, and echoes over WebSocket. */
export async function startOrigin(special: Handler = () => false): Promise<Origin> {
  const seen: Seen[] = []
  const sockets = new Set<Socket>()
  const note = (req: IncomingMessage, body: string, upgrade: boolean): void => {
    const { method = '', url = '', headers, rawHeaders } = req
    seen.push({ method, url, headers, rawHeaders, body, peer: req.socket.remoteAddress ?? '', upgrade })
  }
  const server = createServer((req, res) => {
    res.setHeader('x-origin', 'here')
    if (special(req, res)) return
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () => {
      note(req, Buffer.concat(parts).toString(), false)
      res.setHeader('content-type', 'application/json')
      res.end(JSON.stringify(seen.at(-1)))
    })
  })
  const wss = new WebSocketServer({ noServer: true })
  server.on('upgrade', (req, socket, head) => {
    note(req, '', true)
    wss.handleUpgrade(req, socket, head, (ws) =>
      ws.on('message', (data, binary) => ws.send(data, { binary })),
    )
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin: Origin = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get last() {
      const entry = seen.at(-1)
      if (entry === undefined) throw new Error('the origin saw nothing')
      return entry
    },
    server,
    sockets,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  cleanups.push(() => origin.close())
  return origin
}

const cleanups: (() => Promise<void>)[] = []

/** Ends, after each test, whatever the helpers started. */
export function cleanUp(): void {
  afterEach(async () => {
    for (const close of cleanups.splice(0).reverse()) await close()
  })
}

export const AUD = 'a'.repeat(64)

/** A started simulator: team acme, a user, an application on app.example.com. */
export async function startSim(options: EdgeSimOptions = {}): Promise<EdgeSim> {
  const sim = createEdgeSim({
    teams: [{ name: 'acme', signingKeys: ACME_KEYS }],
    users: [{ email: 'anna@example.com', name: 'Anna' }, { email: 'bob@other.example' }],
    applications: [
      {
        name: 'app',
        host: 'app.example.com',
        aud: AUD,
        policies: [{ action: 'service_auth' }, { action: 'allow', emails: ['@example.com'] }],
      },
    ],
    ...options,
  })
  cleanups.push(() => sim.stop())
  await sim.start()
  return sim
}

/** Sends exactly `text` over HTTP/1.1 and returns everything received until the end. */
export async function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
    let answer = ''
    socket.on('data', (data) => {
      answer += data.toString('latin1')
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}

export interface UpgradeResult {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** Sends a WebSocket upgrade and answers what came back, 101 or not. */
export async function upgrade(
  sim: EdgeSim,
  url: string,
  headers: Record<string, string> = {},
): Promise<UpgradeResult> {
  const to = sim.to(url)
  return new Promise((resolve, reject) => {
    const req = request(to.url.replace(/^ws/, 'http'), {
      headers: {
        ...to.headers,
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      },
    })
    req.on('upgrade', (res, socket) => {
      socket.destroy()
      resolve({ status: res.statusCode ?? 0, headers: res.headers, body: '' })
    })
    req.on('response', (res) => {
      let body = ''
      res.on('data', (part: Buffer) => {
        body += part.toString()
      })
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body }))
      res.on('error', reject)
    })
    req.on('error', reject)
    req.end()
  })
}

/** The cookie of this name that an answer sets. */
export function cookieOf(response: Response, name: string): string | undefined {
  const line = response.headers.getSetCookie().find((cookie) => cookie.startsWith(`${name}=`))
  return line?.slice(name.length + 1).split(';')[0]
}
