import { createServer } from 'node:http'
import { answerQuestions } from '../src/answer.mjs'
import { settledMemory } from '../src/ws/memory.mjs'
import { ownerOf, token } from './http/credentials.mjs'

// A server of sockets that authenticates in band as its library does. Deadlines are raised to fit the sample.
const [guard, devices] = process.argv.slice(2)
const deadline = 600_000

async function createSocketIo() {
  const { Server } = await import('socket.io')
  const server = createServer()
  const io = new Server(server, { transports: ['websocket'], serveClient: false, connectTimeout: deadline })
  io.use((socket, next) => {
    const owner = ownerOf(socket.handshake.auth.token)
    if (owner === undefined) {
      next(new Error('unauthorized'))
      return
    }
    socket.data.owner = owner
    next()
  })
  io.on('connection', (socket) => socket.on('message', () => {}))
  return {
    server,
    tokens: [token],
    counts() {
      const accepted = io.of('/').sockets.size
      return { waiting: io.engine.clientsCount - accepted, accepted }
    },
  }
}

/** graphql-ws on its own, or behind a gate, which reads `connection_init` first. */
async function createGraphqlWs(gated) {
  const { buildSchema } = await import('graphql')
  const { useServer } = await import('graphql-ws/use/ws')
  const { WebSocketServer } = await import('ws')
  const server = createServer()
  const wss = new WebSocketServer(gated ? { noServer: true } : { server, path: '/graphql' })
  let accepted = 0
  useServer(
    {
      schema: buildSchema('type Query { ok: Boolean }'),
      connectionInitWaitTimeout: deadline,
      onConnect({ connectionParams }) {
        if (!gated && ownerOf(String(connectionParams?.token)) === undefined) return false
        accepted++
        return true
      },
    },
    wss,
  )
  if (!gated) {
    return { server, tokens: [token], counts: () => ({ waiting: wss.clients.size - accepted, accepted }) }
  }
  const { createGate, deviceToken } = await import('upgate')
  const { graphqlWs, guardServer } = await import('upgate/ws')
  const { createFixture } = await import('../src/fixture.mjs')
  const { host } = await import('../src/headers.mjs')
  const { services, tokens } = await createFixture({ devices: Number(devices) })
  const handshake = graphqlWs({ credential: (payload) => payload.token })
  const gate = createGate({
    origins: [`https://${host}`],
    trustedProxies: ['loopback'],
    schemes: [deviceToken({ devices: services.devices })],
    rules: [{ path: '/graphql', access: 'deferred', kinds: ['device'], handshake }],
  })
  const guarded = guardServer(server, gate, { sockets: { '/graphql': wss }, deadline, maxSockets: 20_000 })
  return {
    server,
    tokens: tokens.devices,
    counts: () => ({ waiting: guarded.counts.quarantined, accepted: guarded.counts.accepted }),
  }
}

const { server, tokens, counts } =
  guard === 'socket.io' ? await createSocketIo() : await createGraphqlWs(guard === 'graphql-ws-gate')
await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))

answerQuestions(async ({ what }) => {
  switch (what) {
    case 'where':
      return { port: server.address().port, tokens }
    case 'memory':
      return { ...(await settledMemory()), ...counts() }
    default:
      return process.cpuUsage()
  }
})
