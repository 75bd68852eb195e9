import { createServer } from 'node:http'
import { apiKey, createGate, createServices, deviceToken, memoryStore } from 'upgate'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocketServer } from 'ws'

const { HOST = '127.0.0.1', PORT = '8787' } = process.env
const url = `http://localhost:${PORT}`

const services = createServices({ store: memoryStore() })
const gate = createGate({
  origins: [url, `http://127.0.0.1:${PORT}`],
  schemes: [apiKey({ keys: services.keys }), deviceToken({ devices: services.devices })],
  rules: [
    { path: '/health', access: 'public' },
    { path: '/api/nodes', access: 'required', kinds: ['service'], scopes: ['nodes.read'] },
    { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
  ],
})

const nodes = new WebSocketServer({ noServer: true })
nodes.on('connection', (socket, _request, principal) => {
  socket.on('message', (data) => socket.send(`${principal.displayName} said ${data}`))
})

const server = createServer((request, response) => {
  if (request.url !== '/api/nodes') return response.end('ok\n')
  const live = [...gate.connections.list()].map(({ principal }) => principal.displayName)
  response.setHeader('Content-Type', 'application/json').end(JSON.stringify(live))
})
const guard = guardServer(server, gate, { sockets: { '/ws': nodes } })

const key = await services.keys.create({ name: 'operator', scopes: ['nodes.read'] })
const device = await services.devices.create({ name: 'kitchen' })
server.listen(Number(PORT), HOST, () => {
  console.log(`Listening: ${url}`)
  console.log(`Nodes online: curl -H 'X-Api-Key: ${key.token}' ${url}/api/nodes`)
  console.log(`A node connects to ${url.replace('http', 'ws')}/ws and sends`)
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
