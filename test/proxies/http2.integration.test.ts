// Needs Debian's haproxy and caddy; nginx speaks no HTTP/2 to its servers.
/* Proxies that speak HTTP/2 to the application: `:authority` stands in place of Host. */
import type { IncomingMessage } from 'node:http'
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import Koa from 'koa'
import { type AuditEvent, createGate, type Gate } from 'upgate'
import { koaGate } from 'upgate/koa'
import { httpGate } from 'upgate/node'
import { asPrincipal } from 'upgate/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { certificate } from '../diagnosis/certificates.ts'
import { ask } from './guarded-stage.ts'
import { hasProxy, startProxy } from './programs.ts'

const { scheme, headers } = asPrincipal({ id: 'ada' })
const { key, cert } = await certificate()
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

type Listener = NonNullable<Parameters<typeof createSecureServer>[1]>

const listeners: Readonly<Record<string, (gate: Gate) => Listener>> = {
  httpGate: (gate) =>
    httpGate(gate, (request, response) =>
      response.end(`${request.httpVersion} ${gate.principalOf(request)?.id}`),
    ) as unknown as Listener,
  koaGate(gate) {
    const app = new Koa()
    app.use(koaGate(gate))
    app.use((context: { body: unknown; req: IncomingMessage }) => {
      context.body = `${context.req.httpVersion} ${gate.principalOf(context.req)?.id}`
    })
    return app.callback() as unknown as Listener
  },
}

const proxies = {
  haproxy: (port: number, upstream: number, lines: string) => `frontend web
  bind 127.0.0.1:${port}
  option forwardfor
  ${lines}
  default_backend app
backend app
  server app 127.0.0.1:${upstream} ssl verify none alpn h2`,
  caddy: (port: number, upstream: number, lines: string) => `http://127.0.0.1:${port} {
  reverse_proxy https://127.0.0.1:${upstream} {
    header_up Host {hostport}
    ${lines}
    transport http {
      versions 2
      tls_insecure_skip_verify
    }
  }
}`,
} as const
const replacesHost = {
  haproxy: 'http-request set-header Host app.internal',
  caddy: 'header_up Host app.internal',
} as const

describe.each(['haproxy', 'caddy'] as const)('%s, which speaks HTTP/2 to the application', (name) => {
  async function stage(listenerOf: (gate: Gate) => Listener, lines = '') {
    let listener: Listener = () => {}
    const server = createSecureServer({ key, cert, allowHTTP1: true }, (request, response) =>
      listener(request, response),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const sessions = new Set<{ destroy(): void }>()
    server.on('session', (session) => sessions.add(session))
    const { port } = server.address() as AddressInfo
    const proxy = await startProxy(name, (own) => proxies[name](own, port, lines))
    const gate = createGate({
      schemes: [scheme],
      origins: [proxy.origin],
      trustedProxies: ['loopback'],
      logger: { warn() {}, error() {} },
      rules: [{ path: '/health', access: 'public' }],
    })
    const events: AuditEvent[] = []
    gate.events.subscribe((event) => events.push(event))
    listener = listenerOf(gate as unknown as Gate)
    ends.push(
      () => server.close(),
      () => proxy.stop(),
      () => {
        for (const session of sessions) session.destroy()
      },
    )
    return { port: proxy.port, origin: proxy.origin, events }
  }

  describe.skipIf(!hasProxy(name)).each(Object.entries(listeners))('%s', (_adapter, listenerOf) => {
    it('decides by the name, the Origin and the credential as over HTTP/1.1', async () => {
      const { port, origin } = await stage(listenerOf)
      expect(await ask(port, '/health')).toEqual({ status: 200, body: '2.0 undefined' })
      expect((await ask(port, '/items')).status).toBe(401)
      expect(await ask(port, '/items', { ...headers })).toEqual({ status: 200, body: '2.0 ada' })
      expect((await ask(port, '/items', { ...headers, origin }, 'POST')).status).toBe(200)
      const foreign = await ask(port, '/items', { ...headers, origin: 'http://evil.example' }, 'POST')
      expect([foreign.status, JSON.parse(foreign.body).code]).toEqual([403, 'origin_refused'])
    })

    it('names the Host that the proxy replaced, to the operator alone', async () => {
      const { port, events } = await stage(listenerOf, replacesHost[name])
      const { status, body } = await ask(port, '/items', { ...headers })
      expect([status, JSON.parse(body).code]).toEqual([403, 'host_refused'])
      expect(body).not.toContain('proxy_set_header')
      expect(events[0]).toMatchObject({
        reason: expect.stringMatching(/^Host arrived as "app\.internal"; this gate has "127\.0\.0\.1:\d+"/),
      })
    })
  })
})
