import express from 'express'
import {
  apiKey,
  cookieMayBeSecure,
  createGate,
  createServices,
  deviceToken,
  memoryStore,
  safeNext,
  sessionCookie,
} from 'upgate'
import { expressGate } from 'upgate/express'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocketServer } from 'ws'

const { HOST = '127.0.0.1', PORT = '8787', PASSWORD = 'correct horse battery' } = process.env
const url = process.env.PUBLIC_URL ?? `http://localhost:${PORT}`

const services = createServices({ store: memoryStore() })
const cookie = sessionCookie({ sessions: services.sessions, secure: cookieMayBeSecure(url) })
const gate = createGate({
  origins: [url],
  login: { page: '/login' },
  schemes: [cookie, apiKey({ keys: services.keys }), deviceToken({ devices: services.devices })],
  rules: [
    { path: ['/health', '/login'], access: 'public' },
    { path: '/api/*', access: 'required', kinds: ['user', 'service'] },
    { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
  ], // everything else, /ws/chat too: a logged-in user
})

const app = express()
app.use(expressGate(gate))
app.use(express.urlencoded({ extended: false, limit: '8kb' }))

app.get('/health', (_request, response) => response.send('ok'))

app.get('/login', (_request, response) => {
  response.send(
    page(
      'Log in',
      '<form method="post">E-mail <input name="email"> Password <input name="password" type="password"> <button>Log in</button></form>',
    ),
  )
})
// Pages of other origins cannot post here: the gate refuses them before this runs.
app.post('/login', async (request, response) => {
  const { email, password } = request.body ?? {}
  const answer = await services.accounts.login(String(email), String(password))
  if (answer.outcome !== 'authenticated') {
    return response
      .status(answer.outcome === 'rejected' ? 401 : 503)
      .send(page('Log in', 'That did not work.'))
  }
  const session = await services.sessions.create(answer.principal.id)
  response.append('Set-Cookie', cookie.setCookie(session))
  response.redirect(303, safeNext(request.query.next) ?? '/')
})
app.post('/logout', async (request, response) => {
  const { sessionId } = gate.principalOf(request)
  await services.sessions.revoke(sessionId, 'logged_out') // closes its chat at once
  response.append('Set-Cookie', cookie.removeCookie())
  response.redirect(303, '/login')
})

app.get('/', (request, response) => {
  response.send(page('Hello', `You are ${escapeHtml(gate.principalOf(request).displayName)}.`))
})
app.get('/api/me', (request, response) => {
  const { kind, id, scopes } = gate.principalOf(request)
  response.json({ kind, id, scopes })
})
// One route that demands more than its path does.
app.post(
  '/api/devices',
  expressGate(gate.require({ kinds: ['user', 'service'], scopes: ['devices.write'] })),
  async (_request, response) => {
    const { id, token } = await services.devices.create({ name: `node ${Date.now()}` })
    response.status(201).json({ id, token })
  },
)

const nodes = new WebSocketServer({ noServer: true })
nodes.on('connection', (socket, _request, principal) => {
  socket.on('message', (data) => socket.send(`${principal.displayName} said ${data}`))
})
const chat = new WebSocketServer({ noServer: true })
chat.on('connection', (socket, _request, principal) => {
  socket.on('message', (data) => {
    for (const other of chat.clients) other.send(`${principal.displayName}: ${data}`)
  })
})

const { account } = await services.accounts.create({
  email: 'admin@example.com',
  password: PASSWORD,
  scopes: ['devices.write'],
})
const key = await services.keys.create({ name: 'script', accountId: account.id, scopes: ['devices.write'] })
const server = app.listen(Number(PORT), HOST, () => {
  console.log(`Listening: ${url}`)
  console.log(`Log in as admin@example.com with the password ${PASSWORD}`)
  console.log(`New device token: curl -X POST -H 'X-Api-Key: ${key.token}' ${url}/api/devices`)
})
const guard = guardServer(server, gate, { sockets: { '/ws': nodes, '/ws/chat': chat } })

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close()
    await guard.close()
    server.closeAllConnections()
    await services.close()
    process.exit(0)
  })
}

function page(title, body) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1><p>${body}</p></html>`
}

function escapeHtml(text) {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
