// One of three instances: its own gate and sockets, the same database. Its parent sends it commands.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createGate, createServices, deviceToken } from 'upgate'
import { redisBus } from 'upgate/redis'
import { postgresBus, postgresStore } from 'upgate/sql'
import { guardServer } from 'upgate/ws'
import { WebSocket, WebSocketServer } from 'ws'

const [connectionString = '', redisUrl = '', name = '', kind] = process.argv.slice(2)
const store = await postgresStore({ connectionString, schema: name, timeout: 60_000 })
const bus =
  kind === 'Redis'
    ? await redisBus({ url: redisUrl, channel: name })
    : await postgresBus({ connectionString, channel: name })
// Only the bus announces in time.
const services = createServices({ store, bus, limits: { logInterval: 60_000 } })
const gate = createGate({
  schemes: [deviceToken({ devices: services.devices })],
  rules: [{ path: '/ws', access: 'required', kinds: ['device'] }],
  hosts: ['127.0.0.1'],
  logger: { warn() {}, error: console.error },
})
const server = createServer()
const wss = new WebSocketServer({ noServer: true })
wss.on('connection', () => {}) // The sockets only have to be there: an owner without a listener is answered 503.
guardServer(server, gate, { sockets: { '/ws': wss } })
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const address = server.address()
const url = `ws://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/ws`

/** @type {Record<string, { at: string, code: number }>} */
const closed = {}
/** @type {Record<string, string>} */
const committed = {}
services.revocations.subscribe(({ selector }) => {
  committed[selector.credentialId ?? ''] ??= String(process.hrtime.bigint())
})

const commands = {
  /** @param {number} count */
  async issue(count) {
    const issued = []
    for (let n = 0; n < count; n++) issued.push(await services.devices.create({ name: 'd' }))
    return issued.map(({ id, token }) => ({ id, token }))
  },
  /** @param {readonly { id: string, token: string }[]} devices */
  async open(devices) {
    for (const { id, token } of devices) {
      const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } })
      await once(socket, 'open')
      socket.once('close', (code) => {
        closed[id] = { at: String(process.hrtime.bigint()), code }
      })
    }
  },
  /** @param {readonly string[]} ids */
  async revoke(ids) {
    for (const id of ids) await services.devices.revoke(id)
    return committed
  },
  closed: async () => closed,
}

process.on('message', async (/** @type {{ command: keyof typeof commands, argument: never }} */ message) => {
  process.send?.((await commands[message.command](message.argument)) ?? null)
})
process.send?.('ready')
