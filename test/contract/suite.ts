import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import supertest from 'supertest'
import { createGate, type Gate, type GateOptions } from 'upgate'
import { guardServer, jsonFrame } from 'upgate/ws'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  handshake,
  type RawClient,
  raw,
  request,
  textFrame,
} from '../../packages/upgate/test/adapters/raw.ts'
import { type Application, type Contender, type Placement, sockets } from './contenders.ts'
import { type Credentials, createCredentials } from './credentials.ts'

const origin = 'https://gateway.example.com'
const foreign = 'https://evil.example'
const marker = 'upgate-refusal'

interface Stage {
  readonly gate: Gate
  readonly credentials: Credentials
  readonly application: Application
  readonly port: number
}

/** What every way of putting a gate in front of an application has to do. */
export function describeContract(contender: Contender): void {
  describe(contender.name, () => {
    const servers: Server[] = []
    let credentials: Credentials
    let reached: string[]

    beforeEach(() => {
      credentials = createCredentials()
      reached = []
    })
    afterEach(async () => {
      for (const server of servers.splice(0)) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
    })

    function createTheGate(more: Partial<GateOptions> = {}): Gate {
      return createGate({
        schemes: credentials.schemes,
        origins: [origin],
        login: { page: '/login' },
        setup: { page: '/setup', required: () => credentials.empty },
        rules: [
          { path: ['/health', '/login', '/setup'], access: 'public' },
          { path: '/assets/*', access: 'public' },
          { path: '/maybe', access: 'optional' },
          {
            path: '/ws',
            access: 'deferred',
            kinds: ['device'],
            handshake: jsonFrame({ credential: (message) => message.token }),
          },
          { path: '/api/admin/*', access: 'required', kinds: ['user', 'service'], scopes: ['admin'] },
          { path: '/api/*', access: 'required', kinds: ['user', 'service'] },
          { path: '/tenant/public', access: 'public' },
        ],
        ...more,
      } as never) as unknown as Gate
    }

    function createApplication(gate: Gate): Application {
      return {
        reached,
        answer(incoming) {
          reached.push(`${incoming.method} ${incoming.url}`)
          return JSON.stringify({ handled: true, principal: gate.principalOf(incoming)?.id ?? null })
        },
      }
    }

    async function listen(server: Server): Promise<number> {
      servers.push(server)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return (server.address() as AddressInfo).port
    }

    async function stage(placement?: Placement): Promise<Stage> {
      const gate = createTheGate()
      const application = createApplication(gate)
      const port = await listen(contender.serve(gate, application, placement))
      return { gate, credentials, application, port }
    }

    async function stageWithSockets(): Promise<Stage> {
      const gate = createTheGate()
      const application = createApplication(gate)
      const server = contender.serve(gate, application)
      if (!contender.guardsSockets) guardServer(server, gate, { sockets: sockets() })
      return { gate, credentials, application, port: await listen(server) }
    }

    function ask(port: number, method: string, path: string): SuperTest {
      return supertest(`http://127.0.0.1:${port}`)
        [method](path)
        .redirects(0)
        .ok(() => true)
        .set('Host', 'gateway.example.com')
    }

    describe('HTTP', () => {
      it('lets public paths and prefixes through, without asking who it is', async () => {
        const { port } = await stage()
        for (const path of ['/health', '/assets/logo.svg', '/assets/deep/er.css']) {
          const answer = await ask(port, 'get', path)
          expect([path, answer.status]).toEqual([path, 200])
          expect(JSON.parse(answer.text)).toEqual({ handled: true, principal: null })
          expect(answer.headers[marker]).toBeUndefined()
        }
        expect(reached).toHaveLength(3)
      })

      it('leads a browser to the login page, with the way back', async () => {
        const { port } = await stage()
        const answer = await ask(port, 'get', '/pages/one?tab=2').set('Accept', 'text/html')
        expect(answer.status).toBe(303)
        expect(answer.headers.location).toBe('/login?next=%2Fpages%2Fone%3Ftab%3D2')
        expect(answer.headers['cache-control']).toBe('no-store')
        expect(answer.headers[marker]).toBe('auth_required; gate="upgate"')
        expect(answer.text).toBe('')
        expect(reached).toEqual([])
      })

      it('answers an API with a problem document', async () => {
        const { port } = await stage()
        const answer = await ask(port, 'get', '/api/things')
        expectRefusal(answer, 401, 'auth_required')
        expect(answer.headers['www-authenticate']).toBe('Bearer realm="upgate"')
        expect(reached).toEqual([])
      })

      it('knows a cookie and a key, decided at once or later', async () => {
        const { port } = await stage()
        for (const slow of [false, true]) {
          credentials.slow = slow
          const withCookie = await ask(port, 'get', '/api/things').set('Cookie', credentials.cookie)
          expect(JSON.parse(withCookie.text)).toEqual({ handled: true, principal: 'alice' })
          const withKey = await ask(port, 'post', '/api/things').set(
            'Authorization',
            `Bearer ${credentials.key}`,
          )
          expect(JSON.parse(withKey.text)).toEqual({ handled: true, principal: 'ci' })
          const bad = await ask(port, 'get', '/api/things').set('Authorization', 'Bearer key_wrong')
          expectRefusal(bad, 401, 'invalid_credential')
        }
        expect(reached).toHaveLength(4)
      })

      it('goes on as a stranger on an optional path, and takes a dead cookie away', async () => {
        const { port } = await stage()
        const answer = await ask(port, 'get', '/maybe').set('Cookie', credentials.badCookie)
        expect(JSON.parse(answer.text)).toEqual({ handled: true, principal: null })
        expect(answer.headers['set-cookie']).toEqual(['sid=; Path=/; Max-Age=0; HttpOnly'])
        const known = await ask(port, 'get', '/maybe').set('Cookie', credentials.cookie)
        expect(JSON.parse(known.text).principal).toBe('alice')
      })

      it('does not open user paths to a device', async () => {
        const { port } = await stage()
        const answer = await ask(port, 'get', '/api/things').set(
          'Authorization',
          `Bearer ${credentials.device}`,
        )
        expectRefusal(answer, 403, 'kind_not_allowed')
        expect(reached).toEqual([])
      })

      it('demands scopes, and an empty set grants nothing', async () => {
        const { port } = await stage()
        const refused = await ask(port, 'get', '/api/admin/users').set(
          'Authorization',
          `Bearer ${credentials.key}`,
        )
        expectRefusal(refused, 403, 'insufficient_scope')
        expect(refused.headers['www-authenticate']).toContain('scope="admin"')
        const user = await ask(port, 'get', '/api/admin/users').set('Cookie', credentials.cookie)
        expectRefusal(user, 403, 'insufficient_scope')
        expect(reached).toEqual([])
        const allowed = await ask(port, 'get', '/api/admin/users').set(
          'Authorization',
          `Bearer ${credentials.keyWithScope}`,
        )
        expect(JSON.parse(allowed.text).principal).toBe('ops')
      })

      it('adds the demands of a single route', async ({ skip }) => {
        if (contender.serveRoute === undefined)
          return skip('guardServer guards a whole server, not single routes')
        const gate = createTheGate({
          rules: [{ path: '/*', access: 'optional', kinds: ['user', 'service'] }],
          login: undefined,
          setup: undefined,
        } as never)
        const route = gate.require({ kinds: ['service'], scopes: ['admin'] })
        const port = await listen(contender.serveRoute(gate, route, createApplication(gate)))
        expectRefusal(await ask(port, 'get', '/route'), 401, 'auth_required')
        expectRefusal(
          await ask(port, 'get', '/route').set('Cookie', credentials.cookie),
          403,
          'kind_not_allowed',
        )
        const withKey = await ask(port, 'get', '/route').set(
          'Authorization',
          `Bearer ${credentials.keyWithScope}`,
        )
        expect(JSON.parse(withKey.text).principal).toBe('ops')
        expect(reached).toEqual(['GET /route'])
      })

      it('never lets a hostile target reach the application without proof', async () => {
        const { port } = await stage()
        for (const target of [
          '/assets/../api/things',
          '/assets/%2e%2e/api/things',
          '/assets/..%2fapi/things',
          '/assets/..%5capi/things',
          '/assets/..\\api/things',
          '/assets/%252e%252e/api/things',
          '/assets//../api/things',
          '//gateway.example.com/api/things',
          '///api/things',
          '/API/things',
          '/api/things/',
          '/api/things;x=1',
          '/api/./things',
          '/health/',
          '/HEALTH',
          '/health;x',
          '/health%00',
          '/%68ealth',
          '/health#/api',
          '/assets/%c0%ae%c0%ae/api',
          'http://evil.example/api/things',
          'http://evil.example//api/things',
          'https:/api/things',
          '*',
          '//[',
          '/api/%zz',
        ]) {
          const answer = await raw(port, request(`GET ${target} HTTP/1.1`, ['Connection: close'])).ended()
          const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]
          expect([target, status]).toEqual([target, expect.stringMatching(/^(?:400|401|404)$/)])
          if (!answer.startsWith('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')) {
            expect(answer).toMatch(/\r\nUpgate-Refusal: [a-z_]+; gate="upgate"\r\n/)
            expect(answer).toMatch(/\r\nCache-Control: no-store\r\n/)
          }
        }
        expect(reached).toEqual([])
      })

      it('treats HEAD as GET, without a body', async () => {
        const { port } = await stage()
        const refused = await raw(port, request('HEAD /api/things HTTP/1.1', ['Connection: close'])).ended()
        expect(refused).toMatch(/^HTTP\/1\.1 401 /)
        expect(refused).toMatch(/\r\nContent-Length: [1-9]\d*\r\n/)
        expect(refused.endsWith('\r\n\r\n')).toBe(true)
        const allowed = await raw(port, request('HEAD /health HTTP/1.1', ['Connection: close'])).ended()
        expect(allowed).toMatch(/^HTTP\/1\.1 200 /)
        expect(allowed.endsWith('\r\n\r\n')).toBe(true)
        expect(reached).toEqual(['HEAD /health'])
      })

      it('demands proof for OPTIONS, and answers preflights itself', async () => {
        const { port } = await stage()
        expectRefusal(await ask(port, 'options', '/api/things'), 401, 'auth_required')
        const preflight = await ask(port, 'options', '/api/things')
          .set('Origin', origin)
          .set('Access-Control-Request-Method', 'PUT')
          .set('Access-Control-Request-Headers', 'authorization')
        expect(preflight.status).toBe(204)
        expect(preflight.text).toBe('')
        expect(preflight.headers['access-control-allow-origin']).toBe(origin)
        expect(preflight.headers['access-control-allow-methods']).toBe('PUT')
        const refused = await ask(port, 'options', '/health')
          .set('Origin', foreign)
          .set('Access-Control-Request-Method', 'PUT')
        expectRefusal(refused, 403, 'origin_refused')
        expect(reached).toEqual([])
      })

      it('refuses TRACE and CONNECT', async () => {
        const { port } = await stage()
        const trace = await raw(port, request('TRACE /health HTTP/1.1', ['Connection: close'])).ended()
        expect(trace).toMatch(/^HTTP\/1\.1 405 /)
        expect(trace).toMatch(/\r\nUpgate-Refusal: method_refused; /)
        const tunnel = await raw(port, request('CONNECT evil.example:443 HTTP/1.1')).ended()
        expect(tunnel).not.toMatch(/^HTTP\/1\.1 2/)
        expect(reached).toEqual([])
      })

      it('refuses single-valued headers that come twice', async () => {
        const { port } = await stage()
        for (const headers of [
          [`Authorization: Bearer ${credentials.key}`, `Authorization: Bearer ${credentials.keyWithScope}`],
          [`Authorization: Bearer ${credentials.key}`, 'authorization: Bearer x'],
          [`Authorization: Bearer ${credentials.key}`, `Origin: ${origin}`, `Origin: ${foreign}`],
        ]) {
          const answer = await raw(
            port,
            request('GET /api/things HTTP/1.1', [...headers, 'Connection: close']),
          ).ended()
          expect(answer).toMatch(/^HTTP\/1\.1 400 /)
          expect(answer).toMatch(/\r\nUpgate-Refusal: duplicate_header; /)
        }
        expect(reached).toEqual([])
      })

      it('refuses unsafe methods of foreign pages everywhere, and lets ours read refusals', async () => {
        const { port } = await stage()
        for (const path of ['/login', '/api/things', '/maybe']) {
          const answer = await ask(port, 'post', path)
            .set('Origin', foreign)
            .set('Cookie', credentials.cookie)
          expectRefusal(answer, 403, 'origin_refused')
          expect(answer.headers['access-control-allow-origin']).toBeUndefined()
        }
        const site = await ask(port, 'post', '/login').set('Sec-Fetch-Site', 'cross-site')
        expectRefusal(site, 403, 'origin_refused')
        expect(reached).toEqual([])
        const ours = await ask(port, 'post', '/api/things').set('Origin', origin)
        expectRefusal(ours, 401, 'auth_required')
        expect(ours.headers['access-control-allow-origin']).toBe(origin)
        expect(ours.headers.vary).toBe('Origin')
        const allowed = await ask(port, 'post', '/api/things')
          .set('Origin', origin)
          .set('Cookie', credentials.cookie)
        expect(allowed.status).toBe(200)
        expect(allowed.headers['access-control-allow-origin']).toBe(origin)
      })

      it('sends everybody to the setup while there is no account, and never because the store is down', async () => {
        const { port } = await stage()
        credentials.empty = true
        const page = await ask(port, 'get', '/pages').set('Accept', 'text/html')
        expect([page.status, page.headers.location]).toEqual([303, '/setup'])
        expectRefusal(await ask(port, 'get', '/api/things'), 401, 'setup_required')
        expect((await ask(port, 'get', '/setup')).status).toBe(200)
      })

      it('answers 503 when the store cannot answer', async () => {
        const { port } = await stage()
        credentials.down = true
        for (const slow of [false, true]) {
          credentials.slow = slow
          const answer = await ask(port, 'get', '/api/things').set(
            'Authorization',
            `Bearer ${credentials.key}`,
          )
          expectRefusal(answer, 503, 'unavailable')
          expect(answer.headers['retry-after']).toBe('7')
        }
        expect(reached).toEqual([])
      })

      it('wants a WebSocket on a deferred path', async () => {
        const { port } = await stage()
        const answer = await ask(port, 'get', '/ws').set('Authorization', `Bearer ${credentials.device}`)
        expectRefusal(answer, 426, 'upgrade_required')
        expect(answer.headers.upgrade).toBe('websocket')
        expect(reached).toEqual([])
      })

      it('keeps the connection alive after a refusal, and the answers in order', async () => {
        const { port } = await stage()
        credentials.slow = true
        const key = `Authorization: Bearer ${credentials.key}`
        const answers = await raw(
          port,
          request('GET /api/one HTTP/1.1', [key]) +
            request('POST /api/two HTTP/1.1', ['Content-Length: 4'], 'body') +
            request('GET /health HTTP/1.1', ['Connection: close']),
        ).ended()
        expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 401', 'HTTP/1.1 200'])
        expect(reached.toSorted()).toEqual(['GET /api/one', 'GET /health'])
      })

      it('does not call the application for a client that left while it was being decided', async () => {
        const { port } = await stage()
        const held: (() => void)[] = []
        credentials.held = held
        const client = raw(
          port,
          request('GET /api/one HTTP/1.1', [`Authorization: Bearer ${credentials.key}`]),
        )
        await until(() => held.length === 1)
        client.socket.resetAndDestroy()
        await client.ended()
        // Round trips of another client: the server has heard of the reset by then.
        for (let i = 0; i < 3; i++) expect((await ask(port, 'get', '/health')).status).toBe(200)
        for (const decide of held) decide()
        expect((await ask(port, 'get', '/health')).status).toBe(200)
        expect(new Set(reached)).toEqual(new Set(['GET /health']))
      })

      it('reads bodies as if it were not there', async () => {
        const { port } = await stage()
        const client = raw(
          port,
          request('POST /api/things HTTP/1.1', [
            `Authorization: Bearer ${credentials.key}`,
            'Expect: 100-continue',
            'Content-Length: 4',
          ]),
        )
        await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/)
        client.socket.end('body')
        expect(await client.ended()).toMatch(/\r\n\r\nHTTP\/1\.1 200 /)
      })
    })

    describe('mounts and rewrites', () => {
      it('decides by the whole path when it is mounted below a prefix', async ({ skip }) => {
        if (!contender.mounts) return skip('this contender has no mounts')
        const { port } = await stage({ prefix: '/api' })
        expectRefusal(await ask(port, 'get', '/api/things'), 401, 'auth_required')
        expectRefusal(await ask(port, 'get', '/api'), 401, 'auth_required')
        expectRefusal(await ask(port, 'get', '/api?x=1'), 401, 'auth_required')
        expect((await ask(port, 'get', '/elsewhere')).status).toBe(200)
        const key = `Bearer ${credentials.key}`
        expectRefusal(
          await ask(port, 'get', '/api/admin/x').set('Authorization', key),
          403,
          'insufficient_scope',
        )
        expect((await ask(port, 'get', '/api/things').set('Authorization', key)).status).toBe(200)
        expect((await ask(port, 'get', '/api/things?x=1').set('Authorization', key)).status).toBe(200)
      })

      it('finds public rules below a prefix, also where the mount is the whole path', async ({ skip }) => {
        if (!contender.mounts) return skip('this contender has no mounts')
        for (const prefix of ['/tenant', '/tenant/public']) {
          const { port } = await stage({ prefix })
          for (const path of ['/tenant/public', '/tenant/public?x=/y']) {
            const answer = await ask(port, 'get', path)
            expect([prefix, path, answer.status]).toEqual([prefix, path, 200])
          }
        }
      })

      it('is not opened by a rewrite before it', async ({ skip }) => {
        if (!contender.rewrites) return skip('this contender rewrites no URLs')
        const { port } = await stage({ rewrite: ['/assets/back-door', '/api/things'] })
        expectRefusal(await ask(port, 'get', '/assets/back-door'), 401, 'auth_required')
        const key = await ask(port, 'get', '/assets/back-door').set(
          'Authorization',
          `Bearer ${credentials.key}`,
        )
        expect(JSON.parse(key.text).principal).toBe('ci')
      })

      it('is not opened by a rewrite of a protected path to a public one', async ({ skip }) => {
        if (!contender.rewrites) return skip('this contender rewrites no URLs')
        const { port } = await stage({ rewrite: ['/api/things', '/health'] })
        expectRefusal(await ask(port, 'get', '/api/things'), 401, 'auth_required')
        expect((await ask(port, 'get', '/health')).status).toBe(200)
      })
    })

    describe('upgrades without anybody to take them', () => {
      it('is an ordinary request then, under the rules for upgrades', async ({ skip }) => {
        if (contender.guardsSockets) return skip('this contender takes upgrades itself')
        const { port } = await stage()
        const deferred = await raw(port, handshake('/ws', ['Connection: close'])).ended()
        expect(deferred).toMatch(/^HTTP\/1\.1 426 /)
        expect(deferred).toMatch(/took charge of the socket/)
        const anonymous = await raw(port, handshake('/ws/chat')).until(/\r\n\r\n/)
        expect(anonymous).toMatch(/^HTTP\/1\.1 401 /)
        const crossSite = raw(
          port,
          handshake('/ws/chat', [`Cookie: ${credentials.cookie}`, `Origin: ${foreign}`]),
        )
        expect(await crossSite.until(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 403 /)
        const withoutOrigin = raw(port, handshake('/ws/chat', [`Cookie: ${credentials.cookie}`]))
        expect(await withoutOrigin.until(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 401 /)
        expect(reached).toEqual([])
      })
    })

    describe('sockets', () => {
      const token = (value: string): Buffer => textFrame(JSON.stringify({ token: value }))

      async function open(
        port: number,
        bytes: string | Buffer,
        frames: readonly Buffer[] = [],
      ): Promise<RawClient> {
        return raw(port, Buffer.concat([Buffer.from(bytes as string, 'latin1'), ...frames]))
      }

      it('lets a node in that has no HTTP credential at all and proves itself in its first frame', async () => {
        const { port } = await stageWithSockets()
        const client = await open(port, handshake('/ws'))
        await client.until(/^HTTP\/1\.1 101 /)
        client.socket.write(token(credentials.device))
        await client.until(/welcome node-1 on \/ws/)
        client.socket.destroy()
      })

      it('keeps pipelined frames, in order', async () => {
        const { port } = await stageWithSockets()
        const frames = [token(credentials.device), textFrame('one'), textFrame('two'), textFrame('three')]
        for (const slow of [false, true]) {
          credentials.slow = slow
          const client = await open(port, handshake('/ws'), frames)
          expect(await client.until(/echo three/)).toMatch(/welcome node-1.*echo one.*echo two.*echo three/s)
          client.socket.destroy()
        }
        credentials.slow = true
        const chat = await open(
          port,
          handshake('/ws/chat', [`Cookie: ${credentials.cookie}`, `Origin: ${origin}`]),
          [textFrame('one'), textFrame('two')],
        )
        expect(await chat.until(/echo two/)).toMatch(/welcome alice on \/ws\/chat.*echo one.*echo two/s)
        chat.socket.destroy()
      })

      it('lets HTTP prove it, too', async () => {
        const { port } = await stageWithSockets()
        const client = await open(port, handshake('/ws', [`Authorization: Bearer ${credentials.device}`]))
        await client.until(/welcome node-1 on \/ws/)
        client.socket.destroy()
      })

      it('does not let a bad HTTP credential block the protocol', async () => {
        const { port } = await stageWithSockets()
        for (const header of [
          `Cookie: ${credentials.badCookie}`,
          'Authorization: Bearer device_wrong',
          'Authorization: Basic abc',
        ]) {
          const client = await open(port, handshake('/ws', [header]))
          await client.until(/^HTTP\/1\.1 101 /)
          client.socket.write(token(credentials.device))
          await client.until(/welcome node-1 on \/ws/)
          client.socket.destroy()
        }
      })

      it('refuses a wrong token in the protocol, and never reaches the application', async () => {
        const { port } = await stageWithSockets()
        const client = await open(port, handshake('/ws'), [token('device_wrong')])
        const text = await client.ended()
        expect(text).toMatch(/^HTTP\/1\.1 101 /)
        expect(text).toContain('invalid_credential')
        expect(text).not.toContain('welcome')
      })

      it('opens the chat to a cookie from our own page only', async () => {
        const { port } = await stageWithSockets()
        const cookie = `Cookie: ${credentials.cookie}`
        const client = await open(port, handshake('/ws/chat', [cookie, `Origin: ${origin}`]))
        await client.until(/welcome alice on \/ws\/chat/)
        client.socket.destroy()

        const crossSite = await (
          await open(port, handshake('/ws/chat', [cookie, `Origin: ${foreign}`]))
        ).ended()
        expectUpgradeRefusal(crossSite, 403, 'origin_refused')
        const sandboxed = await (await open(port, handshake('/ws/chat', [cookie, 'Origin: null']))).ended()
        expectUpgradeRefusal(sandboxed, 403, 'origin_refused')
        const withoutOrigin = await (await open(port, handshake('/ws/chat', [cookie]))).ended()
        expectUpgradeRefusal(withoutOrigin, 401, 'auth_required')
        const device = await (
          await open(port, handshake('/ws/chat', [`Authorization: Bearer ${credentials.device}`]))
        ).ended()
        expectUpgradeRefusal(device, 403, 'kind_not_allowed')
      })

      it('refuses a foreign page on the deferred path before the upgrade', async () => {
        const { port } = await stageWithSockets()
        const answer = await (await open(port, handshake('/ws', [`Origin: ${foreign}`]))).ended()
        expectUpgradeRefusal(answer, 403, 'origin_refused')
      })

      it('answers upgrades on paths that nobody owns', async () => {
        const { port } = await stageWithSockets()
        const stranger = await (await open(port, handshake('/nowhere'))).ended()
        expectUpgradeRefusal(stranger, 401, 'auth_required')
        const known = await (
          await open(port, handshake('/nowhere', [`Authorization: Bearer ${credentials.keyWithScope}`]))
        ).ended()
        expectUpgradeRefusal(known, 403, 'kind_not_allowed')
        const user = handshake('/nowhere', [`Cookie: ${credentials.cookie}`, `Origin: ${origin}`])
        expectUpgradeRefusal(await (await open(port, user)).ended(), 404, 'unknown_path')
        const page = await (await open(port, handshake('/health'))).ended()
        expectUpgradeRefusal(page, 401, 'auth_required')
      })

      it('reads hostile upgrade targets as strictly as any other', async () => {
        const { port } = await stageWithSockets()
        for (const target of [
          '/ws/',
          '/WS',
          '/./ws',
          '//ws',
          '/x/../ws',
          '/%77s',
          '/ws%2f',
          '/ws;x',
          '//[',
          'http://evil/ws',
          '/ws#',
        ]) {
          const answer = await (await open(port, handshake(target), [token(credentials.device)])).ended()
          expect([target, answer]).toEqual([target, expect.stringMatching(/^HTTP\/1\.1 40[01] /)])
          expect(answer).toMatch(/\r\nUpgate-Refusal: /)
        }
        const query = await open(port, handshake('/ws?x=/../chat'), [token(credentials.device)])
        await query.until(/welcome node-1/)
        query.socket.destroy()
      })

      it('refuses what is no WebSocket handshake', async () => {
        const { port } = await stageWithSockets()
        const h2c = request('GET /ws HTTP/1.1', [
          'Connection: Upgrade, HTTP2-Settings',
          'Upgrade: h2c',
          'HTTP2-Settings: AAMAAABk',
        ])
        expectUpgradeRefusal(await (await open(port, h2c)).ended(), 426, 'unsupported_upgrade')
        const withBody = handshake('/ws', ['Content-Length: 5'])
        expectUpgradeRefusal(await (await open(port, `${withBody}hello`)).ended(), 400, 'malformed_upgrade')
        const chunked = handshake('/ws', ['Transfer-Encoding: chunked'])
        expectUpgradeRefusal(
          await (await open(port, `${chunked}0\r\n\r\n`)).ended(),
          400,
          'malformed_upgrade',
        )
        const post = handshake('/ws').replace('GET', 'POST')
        expectUpgradeRefusal(await (await open(port, post)).ended(), 400, 'malformed_upgrade')
        const old = handshake('/ws').replace('Version: 13', 'Version: 8')
        expectUpgradeRefusal(await (await open(port, old)).ended(), 426, 'unsupported_upgrade')
        expect(reached).toEqual([])
      })

      it('answers CONNECT itself', async () => {
        const { port } = await stageWithSockets()
        const answer = await raw(port, request('CONNECT evil.example:443 HTTP/1.1')).ended()
        expect(answer).not.toMatch(/^HTTP\/1\.1 2/)
      })

      it('answers 503 on strict paths when the store is down, and never 101', async () => {
        const { port } = await stageWithSockets()
        credentials.down = true
        const cookie = `Cookie: ${credentials.cookie}`
        const answer = await (await open(port, handshake('/ws/chat', [cookie, `Origin: ${origin}`]))).ended()
        expect(answer).not.toMatch(/welcome/)
        const key = await (
          await open(port, handshake('/ws/chat', [`Authorization: Bearer ${credentials.key}`]))
        ).ended()
        expectUpgradeRefusal(key, 503, 'unavailable')
        expect(key).toMatch(/\r\nRetry-After: 7\r\n/)
      })

      it('goes on serving HTTP', async () => {
        const { port } = await stageWithSockets()
        expect((await ask(port, 'get', '/health')).status).toBe(200)
        const answer = await ask(port, 'get', '/api/things').set('Cookie', credentials.cookie)
        expect(JSON.parse(answer.text)).toEqual({ handled: true, principal: 'alice' })
        expectRefusal(await ask(port, 'get', '/api/things'), 401, 'auth_required')
        expect(reached).toEqual(['GET /health', 'GET /api/things'])
      })
    })
  })
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: Record<string, string>
}
type SuperTest = PromiseLike<Answer> & { set(name: string, value: string): SuperTest }

function expectRefusal(answer: Answer, status: number, code: string): void {
  expect([answer.status, answer.headers[marker]]).toEqual([status, `${code}; gate="upgate"`])
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.headers['content-type']).toBe('application/problem+json')
  const problem = JSON.parse(answer.text)
  expect(problem).toMatchObject({ status, code })
  expect(problem.detail).toMatch(/\.$/)
  expect(problem.action).toMatch(/\.$/)
}

function expectUpgradeRefusal(answer: string, status: number, code: string): void {
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  expect(head.split(' ', 2)[1]).toBe(String(status))
  expect(head).toMatch(new RegExp(`\r\nUpgate-Refusal: ${code}; gate="upgate"`))
  expect(head).toMatch(/\r\nCache-Control: no-store/)
  expect(head).toMatch(/\r\nConnection: close/)
  const length = /\r\nContent-Length: (\d+)/.exec(head)?.[1]
  expect(length).toBe(String(Buffer.byteLength(body, 'latin1')))
  expect(JSON.parse(body)).toMatchObject({ status, code })
}
