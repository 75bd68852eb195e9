import { createServer } from 'node:http'
import express from 'express'
import { createBetterAuth } from './better-auth.mjs'
import { bearer, createJwt, createUpgate, ownerOf } from './credentials.mjs'

/** An application with these middlewares in front of the one route that is asked for. */
function serve(headers, ...middlewares) {
  const app = express()
  for (const middleware of middlewares) app.use(middleware)
  app.get('/api/items', (_request, response) => response.end('ok'))
  return { server: createServer(app), headers }
}

/** Answers 401 unless `find` finds an owner. */
const requireOwner = (find) => async (request, response, next) => {
  const owner = await find(request)
  if (owner === undefined) {
    response.status(401).end()
    return
  }
  request.user = owner
  next()
}

export const createServers = {
  async 'upgate-session'() {
    const { expressGate } = await import('upgate/express')
    const { gate, session } = await createUpgate()
    return serve(session, expressGate(gate))
  },
  async 'passport-http-bearer'() {
    const { default: passport } = await import('passport')
    const { Strategy } = await import('passport-http-bearer')
    passport.use(new Strategy((token, done) => done(null, ownerOf(token) ?? false)))
    return serve(bearer, passport.authenticate('bearer', { session: false }))
  },
  async 'passport-session'() {
    const { default: passport } = await import('passport')
    const { Strategy } = await import('passport-local')
    const { default: session } = await import('express-session')
    passport.use(new Strategy((_name, _password, done) => done(null, { id: 'alice' })))
    passport.serializeUser((user, done) => done(null, user.id))
    passport.deserializeUser((id, done) => done(null, { id }))
    const app = express()
    app.use(session({ secret: 'a secret of the application', resave: false, saveUninitialized: false }))
    app.use(passport.session())
    app.get('/login', passport.authenticate('local'), (_request, response) => response.end())
    app.use((request, response, next) => (request.isAuthenticated() ? next() : response.status(401).end()))
    app.get('/api/items', (_request, response) => response.end('ok'))
    const server = createServer(app)
    return { server, headers: [['Cookie', await cookieOf(server, '/login?username=alice&password=secret')]] }
  },
  async 'express-jwt'() {
    const { expressjwt } = await import('express-jwt')
    const { createPublicKey } = await import('node:crypto')
    const { headers, publicKey, audience, issuer } = await createJwt()
    return serve(
      headers,
      expressjwt({ secret: createPublicKey(publicKey), algorithms: ['RS256'], audience, issuer }),
    )
  },
  async 'better-auth-key'() {
    const { auth, key } = await createBetterAuth()
    return serve(
      [['X-Api-Key', key]],
      requireOwner(async (request) => {
        const presented = request.headers['x-api-key']
        if (presented === undefined) return undefined
        const found = await auth.api.verifyApiKey({ body: { key: presented } })
        return found.valid ? found.key : undefined
      }),
    )
  },
  async 'better-auth-session'() {
    const { fromNodeHeaders } = await import('better-auth/node')
    const { auth, cookie } = await createBetterAuth()
    return serve(
      [['Cookie', cookie]],
      requireOwner(async (request) => {
        const found = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) })
        return found?.user
      }),
    )
  },
}

/** Logs in once, before anything is measured. */
async function cookieOf(server, path) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`)
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  return response.headers.getSetCookie()[0].split(';')[0]
}
