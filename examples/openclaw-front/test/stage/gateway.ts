import { createHash, createPublicKey, randomUUID, verify } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

type Json = Record<string, unknown>

/** A request as it reached the gateway. */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}

/** A socket that the gateway accepted. */
export interface AcceptedSocket {
  readonly socket: WebSocket
  readonly device: string | undefined
  readonly user: string | undefined
  readonly params: Json
  /** Messages after the `connect` request. */
  readonly messages: Buffer[]
}

/** A server that behaves like an OpenClaw gateway, as far as a front notices. */
export interface StageGateway {
  readonly port: number
  readonly requests: SeenRequest[]
  readonly upgrades: IncomingMessage[]
  readonly accepted: AcceptedSocket[]
  /** Sockets that are not accepted, now and at most so far. */
  readonly unaccepted: number
  readonly mostUnaccepted: number
  /** Upgrades that were refused because of the limit. */
  readonly refused: number
  /** Ids of the devices that it knows. */
  readonly devices: Set<string>
  /** Whether a new device with the shared token is taken at once, as from loopback. Default: true. */
  autoPair: boolean
  close(): Promise<void>
}

/** The gateway's own limits. */
const unacceptedPerAddress = 32
const handshakeDeadline = 15_000
const longestBefore = 64 * 1024

export async function startGateway(token = 'the-gateways-own-token', port = 0): Promise<StageGateway> {
  const state = { unaccepted: 0, mostUnaccepted: 0, refused: 0, autoPair: true }
  const requests: SeenRequest[] = []
  const upgrades: IncomingMessage[] = []
  const accepted: AcceptedSocket[] = []
  const devices = new Set<string>()
  const joins = new Set(['join-me'])
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { method = '', url = '', headers, rawHeaders } = request
    requests.push({ method, url, headers, rawHeaders, body })
    if (url.startsWith('/j/')) {
      const found = joins.delete(url.slice('/j/'.length))
      response.writeHead(found ? 200 : 404).end(found ? '{"bootstrapToken":"b"}' : '')
    } else if (url === '/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: one\n\n')
    } else if (url === '/broken') {
      response.writeHead(200, { 'content-length': '100' })
      response.write('the beginning')
      setTimeout(() => response.destroy(), 50)
    } else if (url === '/gone') {
      response.destroy()
    } else if (url === '/late') {
      setTimeout(() => response.end('late'), 400)
    } else if (url === '/cookies') {
      response.setHeader('set-cookie', [
        'claw=1; Path=/',
        'front_session=stolen; Path=/',
        '__Host-FRONT_device=x',
      ])
      response.setHeader('upgate-refusal', 'forged')
      response.setHeader('connection', 'x-secret, keep-alive')
      response.setHeader('x-secret', 'of this connection')
      response.end('cookies')
    } else {
      response.end(JSON.stringify({ method, url, body }))
    }
  })
  const wss = new WebSocketServer({ noServer: true, maxPayload: 25 * 1024 * 1024, perMessageDeflate: false })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})
    if (state.unaccepted >= unacceptedPerAddress) {
      state.refused++
      const text = '{"error":{"type":"too_many_unauthenticated"}}'
      socket.end(
        `HTTP/1.1 503 Service Unavailable\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`,
      )
      return
    }
    state.unaccepted++
    state.mostUnaccepted = Math.max(state.mostUnaccepted, state.unaccepted)
    upgrades.push(request)
    wss.handleUpgrade(request, socket, head, (ws) => open(ws, request))
  })

  function open(ws: WebSocket, request: IncomingMessage): void {
    let waiting = true
    const over = (): void => {
      if (waiting) state.unaccepted--
      waiting = false
      clearTimeout(timer)
    }
    const timer = setTimeout(() => ws.close(1008, 'handshake timeout'), handshakeDeadline)
    const nonce = randomUUID()
    const ts = Date.now()
    ws.on('error', () => {})
    ws.once('close', over)
    ws.send(
      JSON.stringify({ type: 'event', event: 'connect.challenge', payload: { nonce, ts, capabilities: [] } }),
    )
    ws.once('message', (data: Buffer) => {
      if (data.length > longestBefore) return ws.close(1009, 'too big')
      const message = JSON.parse(String(data)) as Json
      const params = message.params as Json
      const verdict = judge(params, nonce, ts, request)
      if ('code' in verdict) {
        const { code, details } = verdict
        ws.send(
          JSON.stringify({ type: 'res', id: message.id, ok: false, error: { code, message: code, details } }),
        )
        ws.close(1008, code)
        return
      }
      over()
      const entry: AcceptedSocket = { socket: ws, params, messages: [], ...verdict }
      accepted.push(entry)
      const auth = {
        role: params.role,
        scopes: params.scopes,
        deviceToken: `upstream-token-of-${verdict.device}`,
      }
      const payload = { type: 'hello-ok', protocol: 4, server: { version: 'stage' }, auth, policy: {} }
      ws.send(JSON.stringify({ type: 'res', id: message.id, ok: true, payload }))
      ws.on('message', (data: Buffer, isBinary) => {
        entry.messages.push(data)
        if (isBinary || data.length < 1000) ws.send(data, { binary: isBinary })
      })
    })
  }

  function judge(params: Json, nonce: string, ts: number, request: IncomingMessage) {
    const user = request.headers['x-forwarded-user']
    const device = params.device as Record<string, unknown> | undefined
    const auth = (params.auth ?? {}) as Record<string, string>
    if (device !== undefined) {
      const problem = problemOf(device, params, nonce, ts, auth)
      if (problem !== undefined) return { code: 'INVALID_REQUEST', details: { code: problem } }
    }
    if (typeof user === 'string') return { device: undefined, user }
    const id = device?.id as string | undefined
    if (id !== undefined && devices.has(id) && auth.token === `upstream-token-of-${id}`) {
      return { device: id, user: undefined }
    }
    if (auth.token !== token) return { code: 'INVALID_REQUEST', details: { code: 'AUTH_TOKEN_MISMATCH' } }
    if (id === undefined) return { code: 'INVALID_REQUEST', details: { code: 'DEVICE_IDENTITY_REQUIRED' } }
    if (!devices.has(id)) {
      if (!state.autoPair) {
        return {
          code: 'NOT_PAIRED',
          details: { code: 'PAIRING_REQUIRED', requestId: `request-${id.slice(0, 8)}` },
        }
      }
      devices.add(id)
    }
    return { device: id, user: undefined }
  }

  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    upgrades,
    accepted,
    devices,
    get unaccepted() {
      return state.unaccepted
    },
    get mostUnaccepted() {
      return state.mostUnaccepted
    },
    get refused() {
      return state.refused
    },
    get autoPair() {
      return state.autoPair
    },
    set autoPair(value) {
      state.autoPair = value
    },
    async close() {
      for (const client of wss.clients) client.terminate()
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** Verifies a proof as the gateway does: id, nonce, time and signature of version 3. */
function problemOf(
  device: Json,
  params: Json,
  nonce: string,
  ts: number,
  auth: Readonly<Record<string, string>>,
): string | undefined {
  const raw = Buffer.from(String(device.publicKey), 'base64url')
  if (device.nonce !== nonce) return 'DEVICE_AUTH_NONCE_MISMATCH'
  if (device.signedAt !== ts) return 'DEVICE_AUTH_SIGNATURE_EXPIRED'
  if (createHash('sha256').update(raw).digest('hex') !== device.id) return 'DEVICE_AUTH_DEVICE_ID_MISMATCH'
  const { client, role, scopes } = params as {
    readonly client: Readonly<Record<string, string>>
    readonly role: string
    readonly scopes: readonly string[]
  }
  const plain = (text = ''): string => text.trim().toLowerCase()
  const text = ['v3', device.id, client.id, client.mode, role, scopes.join(','), ts, auth.token ?? '', nonce]
    .concat(plain(client.platform), plain(client.deviceFamily))
    .join('|')
  const key = createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]),
    format: 'der',
    type: 'spki',
  })
  const good = verify(null, Buffer.from(text), key, Buffer.from(String(device.signature), 'base64url'))
  return good ? undefined : 'DEVICE_AUTH_SIGNATURE_INVALID'
}
