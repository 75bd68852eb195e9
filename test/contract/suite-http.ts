import { describe, expect, it } from 'vitest'
import { raw, request } from '../../packages/upgate/test/adapters/raw.ts'
import type { Contender } from './contenders.ts'
import { expectRefusal, until } from './expectations.ts'
import { type ContractStage, foreign, marker, origin } from './stage.ts'

export function describeHttp(s: ContractStage, contender: Contender): void {
  const { createTheGate, createApplication, listen, stage, ask } = s

  describe('HTTP', () => {
    it('lets public paths and prefixes through, without a credential', async () => {
      const { port } = await stage()
      for (const path of ['/health', '/assets/logo.svg', '/assets/deep/er.css']) {
        const answer = await ask(port, 'get', path)
        expect([path, answer.status]).toEqual([path, 200])
        expect(JSON.parse(answer.text)).toEqual({ handled: true, principal: null })
        expect(answer.headers[marker]).toBeUndefined()
      }
      expect(s.reached).toHaveLength(3)
    })

    it('redirects a browser to the login page, with the way back', async () => {
      const { port } = await stage()
      const answer = await ask(port, 'get', '/pages/one?tab=2').set('Accept', 'text/html')
      expect(answer.status).toBe(303)
      expect(answer.headers.location).toBe('/login?next=%2Fpages%2Fone%3Ftab%3D2')
      expect(answer.headers['cache-control']).toBe('no-store')
      expect(answer.headers[marker]).toBe('auth_required; gate="upgate"')
      expect(answer.text).toBe('')
      expect(s.reached).toEqual([])
    })

    it('answers an API with a problem document', async () => {
      const { port } = await stage()
      const answer = await ask(port, 'get', '/api/things')
      expectRefusal(answer, 401, 'auth_required')
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="upgate"')
      expect(s.reached).toEqual([])
    })

    it('accepts a cookie and a key, decided synchronously or not', async () => {
      const { port } = await stage()
      for (const slow of [false, true]) {
        s.credentials.slow = slow
        const withCookie = await ask(port, 'get', '/api/things').set('Cookie', s.credentials.cookie)
        expect(JSON.parse(withCookie.text)).toEqual({ handled: true, principal: 'alice' })
        const withKey = await ask(port, 'post', '/api/things').set(
          'Authorization',
          `Bearer ${s.credentials.key}`,
        )
        expect(JSON.parse(withKey.text)).toEqual({ handled: true, principal: 'ci' })
        const bad = await ask(port, 'get', '/api/things').set('Authorization', 'Bearer key_wrong')
        expectRefusal(bad, 401, 'invalid_credential')
      }
      expect(s.reached).toHaveLength(4)
    })

    it('continues without a principal on an optional path, and removes an invalid cookie', async () => {
      const { port } = await stage()
      const answer = await ask(port, 'get', '/maybe').set('Cookie', s.credentials.badCookie)
      expect(JSON.parse(answer.text)).toEqual({ handled: true, principal: null })
      expect(answer.headers['set-cookie']).toEqual(['sid=; Path=/; Max-Age=0; HttpOnly'])
      const known = await ask(port, 'get', '/maybe').set('Cookie', s.credentials.cookie)
      expect(JSON.parse(known.text).principal).toBe('alice')
    })

    it('does not open user paths to a device', async () => {
      const { port } = await stage()
      const answer = await ask(port, 'get', '/api/things').set(
        'Authorization',
        `Bearer ${s.credentials.device}`,
      )
      expectRefusal(answer, 403, 'kind_not_allowed')
      expect(s.reached).toEqual([])
    })

    it('demands scopes, and an empty set grants nothing', async () => {
      const { port } = await stage()
      const refused = await ask(port, 'get', '/api/admin/users').set(
        'Authorization',
        `Bearer ${s.credentials.key}`,
      )
      expectRefusal(refused, 403, 'insufficient_scope')
      expect(refused.headers['www-authenticate']).toContain('scope="admin"')
      const user = await ask(port, 'get', '/api/admin/users').set('Cookie', s.credentials.cookie)
      expectRefusal(user, 403, 'insufficient_scope')
      expect(s.reached).toEqual([])
      const allowed = await ask(port, 'get', '/api/admin/users').set(
        'Authorization',
        `Bearer ${s.credentials.keyWithScope}`,
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
        await ask(port, 'get', '/route').set('Cookie', s.credentials.cookie),
        403,
        'kind_not_allowed',
      )
      const withKey = await ask(port, 'get', '/route').set(
        'Authorization',
        `Bearer ${s.credentials.keyWithScope}`,
      )
      expect(JSON.parse(withKey.text).principal).toBe('ops')
      expect(s.reached).toEqual(['GET /route'])
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
      expect(s.reached).toEqual([])
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
      expect(s.reached).toEqual(['HEAD /health'])
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
      expect(s.reached).toEqual([])
    })

    it('refuses TRACE and CONNECT', async () => {
      const { port } = await stage()
      const trace = await raw(port, request('TRACE /health HTTP/1.1', ['Connection: close'])).ended()
      expect(trace).toMatch(/^HTTP\/1\.1 405 /)
      expect(trace).toMatch(/\r\nUpgate-Refusal: method_refused; /)
      const tunnel = await raw(port, request('CONNECT evil.example:443 HTTP/1.1')).ended()
      expect(tunnel).not.toMatch(/^HTTP\/1\.1 2/)
      expect(s.reached).toEqual([])
    })

    it('refuses single-valued headers that come twice', async () => {
      const { port } = await stage()
      for (const headers of [
        [`Authorization: Bearer ${s.credentials.key}`, `Authorization: Bearer ${s.credentials.keyWithScope}`],
        [`Authorization: Bearer ${s.credentials.key}`, 'authorization: Bearer x'],
        [`Authorization: Bearer ${s.credentials.key}`, `Origin: ${origin}`, `Origin: ${foreign}`],
      ]) {
        const answer = await raw(
          port,
          request('GET /api/things HTTP/1.1', [...headers, 'Connection: close']),
        ).ended()
        expect(answer).toMatch(/^HTTP\/1\.1 400 /)
        expect(answer).toMatch(/\r\nUpgate-Refusal: duplicate_header; /)
      }
      expect(s.reached).toEqual([])
    })

    it('refuses unsafe methods of foreign pages everywhere, and lets own pages read refusals', async () => {
      const { port } = await stage()
      for (const path of ['/login', '/api/things', '/maybe']) {
        const answer = await ask(port, 'post', path)
          .set('Origin', foreign)
          .set('Cookie', s.credentials.cookie)
        expectRefusal(answer, 403, 'origin_refused')
        expect(answer.headers['access-control-allow-origin']).toBeUndefined()
      }
      const site = await ask(port, 'post', '/login').set('Sec-Fetch-Site', 'cross-site')
      expectRefusal(site, 403, 'origin_refused')
      expect(s.reached).toEqual([])
      const ours = await ask(port, 'post', '/api/things').set('Origin', origin)
      expectRefusal(ours, 401, 'auth_required')
      expect(ours.headers['access-control-allow-origin']).toBe(origin)
      expect(ours.headers.vary).toBe('Origin')
      const allowed = await ask(port, 'post', '/api/things')
        .set('Origin', origin)
        .set('Cookie', s.credentials.cookie)
      expect(allowed.status).toBe(200)
      expect(allowed.headers['access-control-allow-origin']).toBe(origin)
    })

    it('redirects every browser to the setup while there is no account, and never because the store is down', async () => {
      const { port } = await stage()
      s.credentials.empty = true
      const page = await ask(port, 'get', '/pages').set('Accept', 'text/html')
      expect([page.status, page.headers.location]).toEqual([303, '/setup'])
      expectRefusal(await ask(port, 'get', '/api/things'), 401, 'setup_required')
      expect((await ask(port, 'get', '/setup')).status).toBe(200)
    })

    it('answers 503 when the store cannot answer', async () => {
      const { port } = await stage()
      s.credentials.down = true
      for (const slow of [false, true]) {
        s.credentials.slow = slow
        const answer = await ask(port, 'get', '/api/things').set(
          'Authorization',
          `Bearer ${s.credentials.key}`,
        )
        expectRefusal(answer, 503, 'unavailable')
        expect(answer.headers['retry-after']).toBe('7')
      }
      expect(s.reached).toEqual([])
    })

    it('requires a WebSocket on a deferred path', async () => {
      const { port } = await stage()
      const answer = await ask(port, 'get', '/ws').set('Authorization', `Bearer ${s.credentials.device}`)
      expectRefusal(answer, 426, 'upgrade_required')
      expect(answer.headers.upgrade).toBe('websocket')
      expect(s.reached).toEqual([])
    })

    it('keeps the connection alive after a refusal, and the answers in order', async () => {
      const { port } = await stage()
      s.credentials.slow = true
      const key = `Authorization: Bearer ${s.credentials.key}`
      const answers = await raw(
        port,
        request('GET /api/one HTTP/1.1', [key]) +
          request('POST /api/two HTTP/1.1', ['Content-Length: 4'], 'body') +
          request('GET /health HTTP/1.1', ['Connection: close']),
      ).ended()
      expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 401', 'HTTP/1.1 200'])
      expect(s.reached.toSorted()).toEqual(['GET /api/one', 'GET /health'])
    })

    it('does not call the application for a client that left during the decision', async () => {
      const { port } = await stage()
      const held: (() => void)[] = []
      s.credentials.held = held
      const client = raw(
        port,
        request('GET /api/one HTTP/1.1', [`Authorization: Bearer ${s.credentials.key}`]),
      )
      await until(() => held.length === 1)
      client.socket.resetAndDestroy()
      await client.ended()
      // Round trips of another client: by then the server knows of the reset.
      for (let i = 0; i < 3; i++) expect((await ask(port, 'get', '/health')).status).toBe(200)
      for (const decide of held) decide()
      expect((await ask(port, 'get', '/health')).status).toBe(200)
      expect(new Set(s.reached)).toEqual(new Set(['GET /health']))
    })

    it('leaves bodies to the application', async () => {
      const { port } = await stage()
      const client = raw(
        port,
        request('POST /api/things HTTP/1.1', [
          `Authorization: Bearer ${s.credentials.key}`,
          'Expect: 100-continue',
          'Content-Length: 4',
        ]),
      )
      await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/)
      client.socket.end('body')
      expect(await client.ended()).toMatch(/\r\n\r\nHTTP\/1\.1 200 /)
    })
  })
}
