import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { WebSocketServer } from 'ws'
import { answerQuestions } from '../answer.mjs'
import { createByHand } from './by-hand.mjs'

const [build = '', maxSockets = '1000', guard = 'gate', key = '', cert = ''] = process.argv.slice(2)
// The build under test: that of this checkout, or of another one for comparison.
const { createGate, createServices, deviceToken, memoryStore } = /** @type {typeof import('upgate')} */ (
  await import(new URL('index.js', build).href)
)
const { guardServer, upgateHandshake } = /** @type {typeof import('upgate/ws')} */ (
  await import(new URL('ws.js', build).href)
)

const services = createServices({ store: memoryStore() })
const { token } = await services.devices.create({ name: 'node' })
const server = guard === 'hand' ? createByHand(token, Number(maxSockets)) : createGuarded()
server.listen(0, '127.0.0.1', 4096)

function createGuarded() {
  const gate = createGate({
    origins: ['https://gateway.example.com'],
    trustedProxies: ['loopback'],
    schemes: [deviceToken({ devices: services.devices })],
    rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() }],
  })
  const guarded = key === '' ? createServer() : createTlsServer({ key, cert })
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on('connection', (ws) => ws.on('message', () => {}))
  guardServer(guarded, gate, { sockets: { '/ws': sockets }, maxSockets: Number(maxSockets) })
  return guarded
}

const delay = monitorEventLoopDelay({ resolution: 5 })
let [memoryBefore, memoryPeak, began] = [0, 0, 0]
let cpuBefore = process.cpuUsage()

answerQuestions(async ({ what }) => {
  if (what === 'where') {
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    return { port, token }
  }
  if (what === 'watch') {
    globalThis.gc?.()
    memoryBefore = process.memoryUsage.rss()
    memoryPeak = memoryBefore
    setInterval(() => {
      memoryPeak = Math.max(memoryPeak, process.memoryUsage.rss())
    }, 100).unref()
    cpuBefore = process.cpuUsage()
    began = performance.now()
    delay.enable()
    return {}
  }
  delay.disable()
  const { user, system } = process.cpuUsage(cpuBefore)
  return {
    // The delay beyond the timer's own resolution.
    delay: Math.max(0, delay.percentile(99) / 1e6 - 5),
    longest: Math.max(0, delay.max / 1e6 - 5),
    memory: (memoryPeak - memoryBefore) / 2 ** 20,
    cpu:
      user / 1000 / ((performance.now() - began) / 1000) +
      system / 1000 / ((performance.now() - began) / 1000),
  }
})
