import { createServer } from 'node:http'
import Koa from 'koa'
import {
  apiKey,
  cookieMayBeSecure,
  createGate,
  createServices,
  deviceToken,
  memoryStore,
  sessionCookie,
} from 'upgate'
import { koaGate } from 'upgate/koa'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocketServer } from 'ws'

const { HOST = '127.0.0.1', PORT = '8787', PASSWORD = 'correct horse battery' } = process.env
const url = process.env.PUBLIC_URL ?? `http://localhost:${PORT}`

const services = createServices({ store: memoryStore() })
const cookie = sessionCookie({ sessions: services.sessions, secure: cookieMayBeSecure(url) })
const gate = createGate({
  origins: [url],
  schemes: [cookie, apiKey({ keys: services.keys }), deviceToken({ devices: services.devices })],
  rules: [
    { path: ['/health', '/api/login'], access: 'public' },
    { path: '/api/*', access: 'required', kinds: ['user', 'service'] },
    { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
  ], // everything else: a logged-in user
})

const routes = {
  'GET /health'(ctx) {
    ctx.body = 'ok'
  },
  async 'POST /api/login'(ctx) {
    const { email, password } = await readJson(ctx.req)
    const answer = await services.accounts.login(String(email), String(password))
    if (answer.outcome !== 'authenticated') {
      ctx.status = answer.outcome === 'rejected' ? 401 : 503
      return
    }
    const session = await services.sessions.create(answer.principal.id)
    ctx.append('Set-Cookie', cookie.setCookie(session))
    ctx.status = 204
  },
  async 'POST /api/logout'(ctx) {
    if (ctx.state.principal.sessionId)
      await services.sessions.revoke(ctx.state.principal.sessionId, 'logged_out')
    ctx.append('Set-Cookie', cookie.removeCookie())
    ctx.status = 204
  },
  'GET /api/me'(ctx) {
    const { kind, id, scopes } = ctx.state.principal
    ctx.body = { kind, id, scopes }
  },
}

const app = new Koa()
app.use(koaGate(gate))
app.use((ctx) => routes[`${ctx.method} ${ctx.path}`]?.(ctx))

const nodes = new WebSocketServer({ noServer: true })
nodes.on('connection', (socket, _request, principal) => {
  socket.on('message', (data) => socket.send(`${principal.displayName} said ${data}`))
})
const server = createServer(app.callback())
const guard = guardServer(server, gate, { sockets: { '/ws': nodes } })

await services.accounts.create({ email: 'admin@example.com', password: PASSWORD })
const key = await services.keys.create({ name: 'script' })
const device = await services.devices.create({ name: 'kitchen' })
server.listen(Number(PORT), HOST, () => {
  console.log(`Listening: ${url}`)
  console.log(`Log in as admin@example.com with the password ${PASSWORD}`)
  console.log(`Who am I: curl -H 'X-Api-Key: ${key.token}' ${url}/api/me`)
  console.log(`A node connects to ${url.replace(/^http/, 'ws')}/ws and sends`)
  console.log(JSON.stringify({ type: 'auth', token: device.token }))
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close()
    await guard.close()
    server.closeAllConnections()
    await services.close()
    process.exit(0)
  })
}

async function readJson(request) {
  let text = ''
  for await (const chunk of request) {
    text += chunk
    if (text.length > 8192) return {}
  }
  try {
    return JSON.parse(text) ?? {}
  } catch {
    return {}
  }
}
