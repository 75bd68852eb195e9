import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  apiKey,
  claimSecret,
  createGate,
  createServices,
  deviceKey,
  deviceToken,
  memoryStore,
  type Principal,
  password,
  type Scheme,
  sessionCookie,
  sharedToken,
} from 'upgate'
import { httpGate } from 'upgate/node'
import { manualClock } from 'upgate/testing'
import { connectFrame, guardServer } from 'upgate/ws'
import { WebSocket, WebSocketServer } from 'ws'
import { fakeHasher, goodPassword } from '../services/setup.ts'

export const origin = 'https://gateway.example.com'
export const shared = 'shared-gateway-token-0123456789'

const open: (() => Promise<void>)[] = []

export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((close) => close()))
}

export type Headers = Readonly<Record<string, string>>

/** How a socket ended: `accepted`, its close code and reason, or the status before it was one. */
export interface Ended {
  readonly how: string
  /** What the server said on it, parsed. */
  readonly said: readonly Record<string, unknown>[]
}

/** A gateway with every kind of credential, and every limit as it is by default. */
export async function startGateway({ proxies = true } = {}) {
  const clock = manualClock()
  const services = createServices({ store: memoryStore(), clock, passwordHasher: fakeHasher() })
  const { accounts, sessions, keys, devices, pairing } = services
  let current = shared
  const token = sharedToken({
    token: () => current,
    principal: { kind: 'service', id: 'gateway', scopes: ['operator.read'], roles: ['operator'] },
  })
  const schemes: Scheme[] = [
    sessionCookie({ sessions }),
    apiKey({ keys }),
    deviceToken({ devices }),
    deviceKey({ pairing, devices, introducers: [token] }),
    claimSecret({ pairing, devices, introducers: [token] }),
    password({ accounts, account: 'ada@example.com' }),
    token,
  ]
  const gate = createGate({
    clock,
    logger: { warn() {}, error() {} },
    origins: [origin],
    ...(proxies ? { trustedProxies: ['loopback'] } : {}),
    schemes,
    rules: [
      { path: '/health', access: 'public' },
      { path: '/login', access: 'public' },
      {
        ...{ path: '/ws', access: 'deferred', kinds: ['user', 'device', 'service'] },
        handshake: connectFrame({ deviceKeys: true }),
      },
      { path: '/ws/strict', access: 'required', kinds: ['user', 'device', 'service'] },
      { path: '/api/admin/*', access: 'required', kinds: ['user', 'service'], scopes: ['operator.admin'] },
      { path: '/api/*', access: 'required', kinds: ['user', 'device', 'service'] },
    ],
  })
  const server = createServer(
    httpGate(gate, (asked, response) => response.end(JSON.stringify(gate.principalOf(asked) ?? null))),
  )
  const wss = new WebSocketServer({ noServer: true })
  const accepted: Principal[] = []
  wss.on('connection', (_: WebSocket, __: unknown, principal: Principal) => void accepted.push(principal))
  const guarded = guardServer(server, gate, { sockets: { '/ws': wss, '/ws/strict': wss }, hold: 0 })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const clients = new Set<WebSocket>()
  open.push(async () => {
    for (const ws of clients) ws.terminate()
    const drained = guarded.close()
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
    clock.advance(5000)
    await drained
    gate.close()
    await services.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  const account = await accounts.create({
    ...{ email: 'ada@example.com', password: goodPassword },
    scopes: ['operator.read'],
  })
  if (account.outcome !== 'done') throw new Error(account.reason)

  function dial(path: string, headers: Headers): WebSocket {
    const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
      headers: { host: 'gateway.example.com', ...headers },
    })
    clients.add(ws)
    ws.on('error', () => {})
    return ws
  }

  return {
    ...services,
    clock,
    gate,
    guarded,
    accepted,
    account: account.account,
    dial,
    rotateShared(to: string) {
      current = to
    },
    /** Status, refusal code and principal of a request. */
    ask(path: string, headers: Headers = {}, method = 'GET') {
      return new Promise<{ status: number | undefined; code?: string; principal?: Principal }>(
        (resolve, reject) => {
          const place = { host: '127.0.0.1', port, path, method, agent: false as const }
          request({ ...place, headers: { host: 'gateway.example.com', ...headers } }, (response) => {
            let body = ''
            response.setEncoding('utf8').on('data', (text: string) => {
              body += text
            })
            response.on('end', () => {
              const { statusCode: status } = response
              const read = JSON.parse(body || 'null') as Principal & { code?: string }
              if (status === 200) resolve({ status, principal: read })
              else resolve({ status, code: read?.code ?? '' })
            })
          })
            .on('error', reject)
            .end()
        },
      )
    },
    /** Connects and sends `auth` with its credential in the first frame, and further fields where given. */
    async connect(auth: object, more: object = {}, headers: Headers = {}): Promise<Ended> {
      const ws = dial('/ws', headers)
      const said: Record<string, unknown>[] = []
      const ended = new Promise<string>((resolve) => {
        ws.on('unexpected-response', (_, response) => resolve(`${response.statusCode}`))
        ws.on('close', (code, reason) => resolve(`${code} ${reason}`))
        ws.on('message', (data) => {
          const frame = JSON.parse(String(data)) as Record<string, unknown>
          said.push(frame)
          if (frame.event === 'connect.challenge') {
            const params = { minProtocol: 3, maxProtocol: 4, client: { id: 'c' }, auth, ...more }
            ws.send(JSON.stringify({ type: 'req', id: '1', method: 'connect', params }))
          } else if (frame.ok === true) resolve('accepted')
        })
      })
      return { how: await ended, said }
    },
  }
}

export type Gateway = Awaited<ReturnType<typeof startGateway>>
