import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { answerQuestions } from '../answer.mjs'
import { addressOf } from './addresses.mjs'

/** Milliseconds after which a node counts as kept out. */
const patience = 10_000

/**
 * Tries once; milliseconds until it was accepted, or `undefined`.
 *
 * @param {number} port
 * @param {string} token
 * @param {string} address
 * @param {number} latency
 * @param {boolean} tls
 * @returns {Promise<number | undefined>}
 */
function connect(port, token, address, latency, tls) {
  const before = performance.now()
  return new Promise((resolve) => {
    const socket = new WebSocket(`${tls ? 'wss' : 'ws'}://127.0.0.1:${port}/ws`, {
      headers: { host: 'gateway.example.com', 'x-forwarded-for': address },
      handshakeTimeout: patience,
      rejectUnauthorized: false,
    })
    const done = (/** @type {number | undefined} */ time) => {
      clearTimeout(timer)
      resolve(time)
      socket.terminate()
    }
    const timer = setTimeout(done, patience, undefined)
    socket.on('error', () => done(undefined))
    socket.on('close', () => done(undefined))
    socket.on('open', async () => {
      await sleep(latency)
      socket.send(JSON.stringify({ type: 'auth', token }), () => {})
    })
    socket.on('message', (data) => {
      done(JSON.parse(String(data)).type === 'auth_ok' ? performance.now() - before : undefined)
    })
  })
}

answerQuestions(async ({ what, port, token, family, count, latency, spacing, tls = false }) => {
  const numbers = Array.from({ length: count }, (_, n) => n)
  if (what === 'introduce') {
    const times = await Promise.all(
      numbers.map((n) => connect(port, token, addressOf(family, 'known', n), 0, tls)),
    )
    if (times.includes(undefined)) throw new Error('a node was kept out before the flood began')
    return {}
  }
  const tries = numbers.flatMap((n) => [
    { which: /** @type {const} */ ('first'), n },
    { which: /** @type {const} */ ('known'), n },
  ])
  const results = await Promise.all(
    tries.map(async ({ which, n }, place) => {
      await sleep(place * spacing)
      return { which, time: await connect(port, token, addressOf(family, which, n), latency, tls) }
    }),
  )
  const timesOf = (/** @type {string} */ kind) =>
    results.flatMap(({ which, time }) => (which === kind && time !== undefined ? [time] : []))
  const [times, knownTimes] = [timesOf('first'), timesOf('known')]
  return { firstIn: times.length, knownIn: knownTimes.length, times, knownTimes }
})
