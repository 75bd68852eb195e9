/*
 * A gate admits the request that it decided. `guardServer` decided a POST, method-override made it a DELETE,
 * and the adapter behind used the decision on the POST for the DELETE, because only the URL was compared.
 */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import express4 from 'express4'
import Koa from 'koa'
import Koa2 from 'koa2'
import methodOverride from 'method-override'
import { createGate, type Gate } from 'upgate'
import { expressGate } from 'upgate/express'
import { type KoaContext, koaGate } from 'upgate/koa'
import { httpGate } from 'upgate/node'
import { guardServer } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { raw, request } from '../../packages/upgate/test/adapters/raw.ts'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

function makeGate(): Gate {
  return createGate({
    schemes: [
      {
        name: 'none',
        ambient: false,
        verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: '' }),
      },
    ],
    rules: [
      { path: '/things/*', methods: ['GET', 'POST'], access: 'public' },
      { path: '/things/*', access: 'required' },
      { path: '/*', methods: ['DELETE'], access: 'required' },
      { path: '/*', access: 'public' },
    ],
  })
}

/** Overrides a method: the package of that name, or an application's own middleware, which sets any value. */
type Override = 'method-override' | 'own'

function expressApp(create: typeof express, gate: Gate, override: Override): RequestListener {
  const app = create()
  if (override === 'method-override') app.use(methodOverride('X-HTTP-Method-Override'))
  else {
    app.use((incoming, _response, next) => {
      const method = incoming.headers['x-http-method-override']
      if (typeof method === 'string') incoming.method = method
      next()
    })
  }
  app.use(expressGate(gate))
  app.use((incoming, response) => void response.end(`reached ${incoming.method}`))
  return app as unknown as RequestListener
}

interface OverridingContext extends KoaContext {
  method: string
}

function koaApp(Application: typeof Koa, gate: Gate): RequestListener {
  const app = new Application()
  app.silent = true
  app.use((ctx: OverridingContext, next: () => Promise<unknown>) => {
    const method = ctx.req.headers['x-http-method-override']
    if (typeof method === 'string') ctx.method = method
    return next()
  })
  app.use(koaGate(gate))
  app.use((ctx: OverridingContext) => {
    ctx.body = `reached ${ctx.method}`
  })
  return app.callback()
}

function bareApp(gate: Gate): RequestListener {
  const inner = httpGate(gate, (incoming, response) => void response.end(`reached ${incoming.method}`))
  return (incoming, response) => {
    const method = incoming.headers['x-http-method-override']
    if (typeof method === 'string') incoming.method = method
    inner(incoming, response)
  }
}

const old = express4 as unknown as typeof express
const contenders: [string, (gate: Gate) => RequestListener][] = [
  ['Express 5, method-override', (gate) => expressApp(express, gate, 'method-override')],
  ['Express 4, method-override', (gate) => expressApp(old, gate, 'method-override')],
  ['Express 5, own', (gate) => expressApp(express, gate, 'own')],
  ['Express 4, own', (gate) => expressApp(old, gate, 'own')],
  ['Koa 3', (gate) => koaApp(Koa, gate)],
  ['Koa 2', (gate) => koaApp(Koa2, gate)],
  ['a bare listener', bareApp],
]

describe.each([false, true])('a method overridden before the adapter, with guardServer: %s', (guarded) => {
  describe.each(contenders)('%s', (name, application) => {
    const overrides = async (): Promise<(path: string, method: string, to?: string) => Promise<string>> => {
      const gate = makeGate()
      const server = createServer(application(gate))
      servers.push(server)
      if (guarded) guardServer(server, gate)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      return (path, method, to) => {
        const lines = [
          'Connection: close',
          'Content-Length: 0',
          ...(to === undefined ? [] : [`X-HTTP-Method-Override: ${to}`]),
        ]
        return raw(port, request(`${method} ${path} HTTP/1.1`, lines)).ended()
      }
    }

    it('is decided as the router will see it', async () => {
      const ask = await overrides()
      expect(await ask('/things/1', 'POST')).toMatch(/reached POST$/)
      expect(await ask('/things/1', 'POST', 'GET')).toMatch(/reached GET$/)
      expect(await ask('/things/1', 'POST', 'DELETE')).toMatch(
        /^HTTP\/1\.1 401 .*\r\nUpgate-Refusal: auth_required; /s,
      )
      expect(await ask('/other', 'POST', 'DELETE')).toMatch(/^HTTP\/1\.1 401 /)
      expect(await ask('/other', 'POST', 'PATCH')).toMatch(/reached PATCH$/)
      expect(await ask('/other', 'POST', 'TRACE')).toMatch(
        /^HTTP\/1\.1 405 .*\r\nUpgate-Refusal: method_refused; /s,
      )
    })

    it('is refused if it is not a method', async () => {
      const ask = await overrides()
      for (const method of ['delete', 'Delete', 'FOO', 'constructor', '__proto__']) {
        const answer = await ask('/other', 'POST', method)
        // The package writes methods in upper case, and ignores unknown ones.
        if (name.endsWith('method-override')) {
          expect(answer).toMatch(method.toUpperCase() === 'DELETE' ? /^HTTP\/1\.1 401 / : /reached POST$/)
        } else expect(answer).toMatch(/^HTTP\/1\.1 405 .*The method is no HTTP method in upper case\./s)
      }
    })
  })
})
