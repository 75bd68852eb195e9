import { createServer } from 'node:http'
import { join } from 'node:path'
import { createGate, createServices, deviceToken } from 'upgate'
import { postgresBus, postgresStore, sqliteStore } from 'upgate/sql'
import { guardServer } from 'upgate/ws'
import { WebSocketServer } from 'ws'
import { answerQuestions } from '../answer.mjs'
import { digest } from '../fixture.mjs'
import { postgresUrl } from '../machine.mjs'

/**
 * A server with live sockets, and the function that takes one principal's credential away.
 *
 * @typedef {{ server: import('node:http').Server, tokens: string[], revoke(principal: number): unknown }} Live
 */

const [guard = '', principals = '', folder = '', schema = ''] = process.argv.slice(2)
const sockets = new WebSocketServer({ noServer: true })
const numbers = Array.from({ length: Number(principals) }, (_, n) => n)

/** The sockets of each principal in a `Map`, and nothing written down. @returns {Live} */
function createByHand() {
  const server = createServer()
  const tokens = numbers.map((n) => `token-${n}-${'x'.repeat(48)}`)
  const known = new Map(tokens.map((token, n) => [digest(token), n]))
  /** @type {Map<number, Set<import('ws').WebSocket>>} */
  const live = new Map(numbers.map((n) => [n, new Set()]))
  server.on('upgrade', (request, socket, head) => {
    const n = known.get(digest(request.headers.authorization?.slice(7) ?? ''))
    const those = n === undefined ? undefined : live.get(n)
    if (those === undefined) {
      socket.destroy()
      return
    }
    sockets.handleUpgrade(request, socket, head, (ws) => {
      those.add(ws)
      ws.once('close', () => those.delete(ws))
    })
  })
  const revoke = (/** @type {number} */ n) => {
    known.delete(digest(tokens[n] ?? ''))
    for (const ws of live.get(n) ?? []) ws.close(4403, 'revoked')
  }
  return { server, tokens, revoke }
}

/** Two instances of a service: one that revokes, and one with the sockets. They are one, unless they share a database. */
async function openInstances() {
  if (guard !== 'postgres') {
    const store = await sqliteStore({ file: join(folder, 'live.db') })
    const services = createServices({ store })
    return [services, services]
  }
  const open = async () =>
    createServices({
      store: await postgresStore({ connectionString: postgresUrl, schema }),
      bus: await postgresBus({ connectionString: postgresUrl, channel: schema }),
    })
  return [await open(), await open()]
}

/** @returns {Promise<Live>} */
async function createGuarded() {
  const [here, there] = await openInstances()
  if (here === undefined || there === undefined) throw new Error('no instance')
  /** @type {{ id: string, token: string }[]} */
  const devices = []
  for (const n of numbers) devices.push(await here.devices.create({ name: `node ${n}` }))
  const gate = createGate({
    schemes: [deviceToken({ devices: there.devices })],
    rules: [{ path: '/ws', access: 'required', kinds: ['device'] }],
    hosts: ['127.0.0.1'],
  })
  const server = createServer()
  sockets.on('connection', (ws) => ws.on('message', () => {}))
  guardServer(server, gate, { sockets: { '/ws': sockets } })
  return {
    server,
    tokens: devices.map(({ token }) => token),
    revoke: (n) => here.devices.revoke(devices[n]?.id ?? ''),
  }
}

const { server, tokens, revoke } = guard === 'hand' ? createByHand() : await createGuarded()
// Revocations are asked for on another port, without a gate.
const admin = createServer(async (request, response) => {
  await revoke(Number(request.url?.slice(1)))
  response.end()
})
/** @param {import('node:http').Server} listening */
async function portOf(listening) {
  await new Promise((resolve) => listening.listen(0, '127.0.0.1', () => resolve(undefined)))
  return /** @type {import('node:net').AddressInfo} */ (listening.address()).port
}
const where = { port: await portOf(server), admin: await portOf(admin), tokens }
answerQuestions(() => where)
