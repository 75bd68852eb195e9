// Needs Debian's nginx (with auth_request) and caddy.
/* Proxies that ask before they forward, with the configurations that the guide prints. */
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createGate,
  createServices,
  type Gate,
  memoryStore,
  type Services,
  sessionCookie,
  sharedToken,
} from 'upgate'
import { forwardAuth } from 'upgate/node'
import { upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { printed } from './guide.ts'
import { hasProxy, startProxy } from './programs.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const token = 'the-token-of-ada-is-long-enough'

async function stage(
  name: 'nginx' | 'caddy',
  edit: (text: string) => string = (text) => text,
): Promise<{ port: number; seen: string[]; services: Services }> {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-asks-'))
  const path = join(folder, 'ask.sock')
  const seen: string[] = []
  const application = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    const { headers } = request
    response.end(JSON.stringify([headers['remote-user'] ?? '', headers['remote-scopes'] ?? '']))
  })
  new WebSocketServer({ server: application }).on('connection', (socket, { headers }) =>
    socket.send(String(headers['remote-user'])),
  )
  application.listen(0, '127.0.0.1')
  await once(application, 'listening')
  const upstream = (application.address() as AddressInfo).port
  const proxy = await startProxy(name, (port) =>
    edit(printed(name, port, upstream, '## A proxy that asks before it forwards')).replace(
      '/run/gate/ask.sock',
      path,
    ),
  )
  const services = createServices({ store: memoryStore() })
  const gate: Gate = createGate({
    origins: [proxy.origin],
    login: { page: '/login' },
    logger: { warn() {}, error() {} },
    schemes: [
      sessionCookie({ sessions: services.sessions, secure: false }),
      sharedToken({
        verify: (given) => given === token,
        principal: { kind: 'user', id: 'ada', scopes: ['read', 'write'] },
      }),
    ],
    rules: [
      { path: '/health', access: 'public', methods: ['GET'] },
      { path: '/login', access: 'public' },
      { path: '/document', access: 'public', document: { text: 'of the gate' } },
      { path: '/either', access: 'optional' },
      { path: '/live', access: 'required' },
      { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
    ],
  }) as unknown as Gate
  const asked = createServer(forwardAuth(gate, { from: [path], proxy: name }))
  asked.listen(path)
  await once(asked, 'listening')
  chmodSync(path, 0o600)
  const closed = (server: Server) => () => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  }
  ends.push(
    () => rmSync(folder, { recursive: true, force: true }),
    closed(application),
    closed(asked),
    () => proxy.stop(),
  )
  return { port: proxy.port, seen, services }
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, unknown>>
}

function ask(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port, path, headers, method }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }))
    })
    sent.on('error', reject)
    sent.end(method === 'POST' ? 'a body' : undefined)
  })
}

/** The first message of a WebSocket, or the status that refused it. */
function socketAnswer(port: number, path: string, headers: Record<string, string>): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers })
    socket.on('unexpected-response', (_request, response) => {
      resolve(String(response.statusCode))
      socket.terminate()
    })
    socket.on('message', (data) => {
      resolve(String(data))
      socket.terminate()
    })
    socket.on('error', () => {})
  })
}

const authorization = `Bearer ${token}`

describe.each(['nginx', 'caddy'] as const)('%s asks, with the text of the guide', (name) => {
  describe.skipIf(!hasProxy(name))('before it forwards', () => {
    it('lets the user in with the identity headers, and strangers nowhere but to public paths', async () => {
      const { port, seen } = await stage(name)
      const allowed = await ask(port, '/x?y=1', { authorization })
      expect([allowed.status, allowed.body]).toEqual([200, '["ada","read,write"]'])
      expect((await ask(port, '/x', { authorization }, 'HEAD')).status).toBe(200)
      expect((await ask(port, '/x', { authorization }, 'POST')).status).toBe(200)
      expect(seen).toEqual(['GET /x?y=1', 'HEAD /x', 'POST /x'])
      const { status, headers } = await ask(port, '/x')
      expect([status, headers['upgate-refusal']]).toEqual([401, 'auth_required; gate="upgate"'])
      expect(headers['www-authenticate']).toContain('Bearer')
      expect((await ask(port, '/x', { authorization: 'Bearer wrong' })).status).toBe(401)
      expect((await ask(port, '/health')).body).toBe('["",""]')
      // The rule is for GET: the method that counts is the original one.
      expect((await ask(port, '/health', {}, 'POST')).status).toBe(401)
      expect((await ask(port, '/x', {}, 'HEAD')).status).toBe(401)
    })

    it('takes nothing that a client says about itself', async () => {
      const { port } = await stage(name)
      const forged = {
        'X-Forwarded-Method': 'GET',
        'X-Forwarded-Uri': '/health',
        'X-Original-Method': 'GET',
        'X-Original-URI': '/health',
        'X-Forwarded-Proto': 'https',
        'Remote-User': 'root',
        'Remote-Scopes': 'admin',
      }
      expect((await ask(port, '/x', forged, 'POST')).status).toBe(401)
      expect((await ask(port, '/x', { ...forged, 'X-Forwarded-Host': 'evil.example' })).status).toBe(401)
      expect((await ask(port, '/health', forged)).body).toBe('["",""]')
      expect((await ask(port, '/x', { ...forged, authorization })).body).toBe('["ada","read,write"]')
      expect((await ask(port, '/health/..%2fx')).status).not.toBe(200)
      const elsewhere = await ask(port, '/x', { authorization, Host: 'evil.example' })
      // Caddy answers for hosts that are none of its sites by itself, with nothing.
      expect(name === 'caddy' ? [200, ''] : [403, expect.anything()]).toEqual([
        elsewhere.status,
        elsewhere.body,
      ])
    })

    it('leads browsers to the login page', async () => {
      const { port } = await stage(name)
      const { status, headers } = await ask(port, '/x?y=1', {
        accept: 'text/html',
        'sec-fetch-mode': 'navigate',
      })
      expect([status, String(headers.location).replace(/^http:\/\/127\.0\.0\.1:\d+/, '')]).toEqual([
        303,
        '/login?next=%2Fx%3Fy%3D1',
      ])
    })

    it('lets no request through for a document that the gate itself would send', async () => {
      const { port, seen } = await stage(name)
      const { status, body, headers } = await ask(port, '/document')
      expect([status, headers['upgate-refusal']]).toEqual([
        name === 'nginx' ? 403 : 404,
        'unknown_path; gate="upgate"',
      ])
      expect(body).not.toContain('of the gate')
      expect(seen).toEqual([])
    })

    it('lets WebSockets through by their own rule, deferred ones not', async () => {
      const { port } = await stage(name)
      expect(await socketAnswer(port, '/live', { authorization })).toBe('ada')
      expect(await socketAnswer(port, '/live', {})).toBe('401')
      expect(await socketAnswer(port, '/ws', {})).toBe(name === 'nginx' ? '403' : '426')
    })
  })
})

describe.skipIf(!hasProxy('nginx'))('nginx asks', () => {
  it('and carries the removal of a cookie that does not count any more, with a yes, a no and a redirect', async () => {
    const { port, seen, services } = await stage('nginx')
    const { accounts, sessions } = services
    const created = await accounts.create({ email: 'ada@example.com' })
    const account = created.outcome === 'done' ? created.account.id : ''
    const issued = await sessions.create(account)
    const cookie = `upgate_session=${issued?.token}`
    const live = await ask(port, '/x', { cookie })
    expect([live.status, live.body, live.headers['set-cookie']]).toEqual([
      200,
      `["${account}",""]`,
      undefined,
    ])
    await sessions.revoke(issued?.session.id ?? '')
    const removal = [expect.stringMatching(/^upgate_session=; .*Max-Age=0/)]
    const yes = await ask(port, '/either', { cookie })
    expect([yes.status, yes.body, yes.headers['set-cookie']]).toEqual([200, '["",""]', removal])
    const no = await ask(port, '/x', { cookie })
    expect([no.status, no.headers['set-cookie']]).toEqual([401, removal])
    const page = { cookie, accept: 'text/html', 'sec-fetch-mode': 'navigate' }
    const led = await ask(port, '/x', page)
    expect([led.status, led.headers['set-cookie'], led.headers.location]).toEqual([
      303,
      removal,
      expect.stringMatching(/\/login\?next=%2Fx$/),
    ])
    expect(seen).toEqual(['GET /x', 'GET /either'])
  })

  it('and fails closed where a line is missing', async () => {
    const { port } = await stage('nginx', (text) => text.replace(/.*X-Original-Method.*\n/, ''))
    expect((await ask(port, '/health')).status).toBe(500)
  })
})
