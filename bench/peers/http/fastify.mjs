import Fastify from 'fastify'
import { bearer, createUpgate, guard, token } from './credentials.mjs'

/** An application with one route, after what `prepare` registers. */
async function serve(headers, prepare = async () => {}) {
  const app = Fastify()
  await prepare(app)
  app.get('/api/items', (_request, reply) => {
    reply.send('ok')
  })
  await app.ready()
  return { server: app.server, headers }
}

export const createServers = {
  bare: () => serve(bearer),
  async 'upgate-key'() {
    const { gate, key } = await createUpgate()
    return serve(key, (app) => guard(app.server, gate))
  },
  async 'bearer-auth'() {
    const { default: bearerAuth } = await import('@fastify/bearer-auth')
    return serve(bearer, (app) => app.register(bearerAuth, { keys: new Set([token]) }))
  },
}
