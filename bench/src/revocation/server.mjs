import { existsSync, openSync, readSync } from 'node:fs'
import { createServer } from 'node:http'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { createGate, createServices, deviceToken, memoryStore } from 'upgate'
import { guardServer } from 'upgate/ws'
import { WebSocket, WebSocketServer } from 'ws'
import { answerQuestions } from '../answer.mjs'

const [guard = '', principals = '1'] = process.argv.slice(2)
const close = WebSocket.prototype.close
let lastClose = 0
/** @this {WebSocket} @param {number} [code] @param {string | Buffer} [reason] */
WebSocket.prototype.close = function (code, reason) {
  close.call(this, code, reason)
  lastClose = performance.now()
}

const server = createServer((_, response) => response.end('ok'))
const sockets = new WebSocketServer({ noServer: true })
let live = 0
sockets.on('connection', (ws) => {
  live++
  ws.on('message', () => {})
  ws.once('close', () => live--)
})

/** Takes everybody's credential away; answers when the first of it was committed. */
let revoke = () => {
  const committed = performance.now()
  for (const ws of sockets.clients) ws.close(4403, 'revoked')
  return Promise.resolve(committed)
}
/** @type {string[]} */
let tokens = []

if (guard === 'gate') {
  const services = createServices({ store: memoryStore() })
  const devices = await Promise.all(
    Array.from({ length: Number(principals) }, (_, n) => services.devices.create({ name: `node ${n}` })),
  )
  tokens = devices.map(({ token }) => token)
  let committed = 0
  // Heard before the gate hears it, in the turn of the commit.
  services.revocations.subscribe(() => {
    committed ||= performance.now()
  })
  const gate = createGate({
    schemes: [deviceToken({ devices: services.devices })],
    rules: [
      { path: '/health', access: 'public' },
      { path: '/ws', access: 'required', kinds: ['device'] },
    ],
    hosts: ['127.0.0.1'],
  })
  guardServer(server, gate, { sockets: { '/ws': sockets } })
  revoke = async () => {
    for (const { id } of devices) {
      await services.devices.revoke(id)
      // A store that is not in memory answers in a later turn.
      await turn()
    }
    return committed
  }
} else {
  server.on('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit('connection', ws, request))
  })
}
server.listen(0, '127.0.0.1')

const schedule = '/proc/self/schedstat'
const used = existsSync(schedule) ? openSync(schedule, 'r') : undefined
const text = Buffer.alloc(64)

/** Milliseconds this thread has run, as Linux counts them: the process's time would include garbage collection. */
function ran() {
  if (used === undefined) return Number.NaN
  return Number.parseInt(text.toString('latin1', 0, readSync(used, text, 0, 64, 0)), 10) / 1e6
}

/** Watches the turns of the event loop, which block all other clients: the longest, and the one with most CPU time. */
function watchTurns() {
  let [longest, costliest] = [0, 0]
  let watching = true
  let [at, cost] = [performance.now(), ran()]
  const look = () => {
    const [now, soFar] = [performance.now(), ran()]
    longest = Math.max(longest, now - at)
    costliest = Math.max(costliest, soFar - cost)
    ;[at, cost] = [now, soFar]
    if (watching) setImmediate(look)
  }
  setImmediate(look)
  return () => {
    watching = false
    return { longestTurn: longest, costliestTurn: costliest }
  }
}

answerQuestions(async ({ what, watched }) => {
  if (what === 'where') {
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    return { port, tokens }
  }
  globalThis.gc?.()
  const count = live
  await sleep(50)
  // Watching keeps the loop busy: then the server's CPU says nothing.
  const stop = watched ? watchTurns() : undefined
  const before = process.cpuUsage()
  const committed = await revoke()
  while (live > 0) await sleep(2)
  const { user, system } = process.cpuUsage(before)
  return { count, toLastClose: lastClose - committed, cpu: (user + system) / 1000, ...stop?.() }
})
