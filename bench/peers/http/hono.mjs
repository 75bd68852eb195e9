import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { bearer, createJwt, createUpgate, guard, token } from './credentials.mjs'

/** An application with one route, after what `prepare` registers. */
function serve(headers, prepare = (_app) => {}) {
  const app = new Hono()
  prepare(app)
  app.get('/api/items', (context) => context.text('ok'))
  return { server: createAdaptorServer({ fetch: app.fetch }), headers }
}

export const createServers = {
  bare: () => serve(bearer),
  async 'upgate-key'() {
    const { gate, key } = await createUpgate()
    const served = serve(key)
    await guard(served.server, gate)
    return served
  },
  async 'bearer-auth'() {
    const { bearerAuth } = await import('hono/bearer-auth')
    return serve(bearer, (app) => app.use('*', bearerAuth({ token })))
  },
  async jwt() {
    const { jwt } = await import('hono/jwt')
    const { headers, publicKey, audience, issuer } = await createJwt()
    const secret = publicKey
    return serve(headers, (app) =>
      app.use('*', jwt({ secret, alg: 'RS256', verification: { aud: audience, iss: issuer } })),
    )
  },
}
