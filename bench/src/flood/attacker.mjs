import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { answerQuestions } from '../answer.mjs'
import { addressOf, frameOf, upgradeFrom } from './addresses.mjs'

const bad = frameOf(JSON.stringify({ type: 'auth', token: 'a-wrong-token-0123456789abcdef' }))
/**
 * A frame of a client, masked with zeros. At most 125 bytes.
 *
 * @param {number} opcode @param {boolean} last @param {string} payload
 */
function part(opcode, last, payload) {
  return Buffer.concat([
    Buffer.from([(last ? 0x80 : 0) | opcode, 0x80 | payload.length, 0, 0, 0, 0]),
    Buffer.from(payload),
  ])
}
const pings = Buffer.concat(Array.from({ length: 100 }, () => part(9, true, 'x')))
const fragments = Buffer.concat([
  part(1, false, '{'),
  ...Array.from({ length: 100 }, () => part(0, false, 'x'.repeat(120))),
])

/** What a socket of the flood does as soon as it is opened. @type {Record<string, (socket: import('node:net').Socket) => unknown>} */
const does = {
  nothing: () => {},
  bad: (socket) => socket.write(bad),
  drip(socket) {
    let sent = 0
    const timer = setInterval(() => {
      if (socket.destroyed || sent === bad.length) clearInterval(timer)
      else socket.write(bad.subarray(sent, ++sent))
    }, 200)
  },
  pings: (socket) => socket.write(pings),
  fragments: (socket) => socket.write(fragments),
  storm: (socket) => socket.destroy(),
}

/** @type {Set<import('node:net').Socket>} */
const open = new Set()
let [sent, opened, turnedAway, began] = [0, 0, 0, 0]
/** @type {NodeJS.Timeout | undefined} */
let timer

/** @param {number} port @param {string} family @param {string} says @param {number} addresses @param {boolean} tls */
function one(port, family, says, addresses, tls) {
  const place = { port, host: '127.0.0.1', allowHalfOpen: true }
  const socket = tls ? connectTls({ ...place, rejectUnauthorized: false }) : connect(place)
  open.add(socket)
  socket.on('error', () => {})
  socket.once('data', (chunk) => {
    const isOpen = chunk.toString('latin1', 9, 12) === '101'
    if (isOpen) opened++
    else turnedAway++
    if (isOpen && says !== 'bad') does[says]?.(socket)
  })
  // The rest is read and not answered, a close frame least of all.
  socket.on('data', () => {})
  socket.once('end', () => socket.destroy())
  socket.once('close', () => open.delete(socket))
  socket.write(upgradeFrom(addressOf(family, 'flood', sent++ % addresses)))
  if (says === 'bad') does.bad?.(socket)
}

answerQuestions(
  async ({ what, port, family, sockets, rate, says, addresses = Number.POSITIVE_INFINITY, tls = false }) => {
    if (what === 'begin') {
      began = performance.now()
      let owed = 0
      let last = began
      const go = () => {
        const now = performance.now()
        owed = Math.min(owed + ((now - last) * rate) / 1000, rate / 10)
        last = now
        for (; owed >= 1 && open.size < sockets; owed--) one(port, family, says, addresses, tls)
      }
      if (sockets === 0) return {}
      timer = setInterval(go, 5)
      // The flood is there before anybody else comes: twice the deadline under pressure at most.
      while (sent < sockets && performance.now() - began < 6000) await new Promise((r) => setTimeout(r, 20))
      return {}
    }
    clearInterval(timer)
    const seconds = (performance.now() - began) / 1000
    for (const socket of open) socket.destroy()
    return { opened, turnedAway, seconds }
  },
)
