import { connect } from 'node:net'
import { answerQuestions } from '../answer.mjs'
import { stayAwake } from '../awake.mjs'
import { host } from '../headers.mjs'

/** One address has some 28,000 ports, and a closed connection keeps its port for a minute. */
const localAddresses = process.platform === 'linux' ? 64 : 1

let opened = 0
/** @type {import('node:net').Socket[]} */
const sockets = []
/** @type {number} */
let port
/** Sockets on their way to being open at a time. */
let concurrency = 1
/** @type {readonly Buffer[] | undefined} */
let frames

/**
 * A text frame with the mask 0, which is a valid one.
 *
 * @param {string} text
 */
function frameOf(text) {
  const payload = Buffer.from(text)
  const head =
    payload.length < 126
      ? [0x81, 0x80 | payload.length]
      : [0x81, 0xfe, payload.length >> 8, payload.length & 0xff]
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload])
}

/**
 * Opens one socket, sends its authentication frames if there are any, and resolves when it has been answered.
 *
 * @param {number} index
 */
function open(index) {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      localAddress: `127.0.0.${1 + (index % localAddresses)}`,
      noDelay: true,
    })
    sockets.push(socket)
    // An address of its own, told by the proxy on this machine.
    const client = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`
    socket.write(
      `GET /ws HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUser-Agent: node/20\r\nX-Forwarded-For: ${client}\r\n\r\n`,
      'latin1',
    )
    let upgraded = false
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed a socket')))
    socket.on('data', (chunk) => {
      if (upgraded) {
        // An unmasked text frame; anything else is a refusal.
        if (chunk[0] === 0x81 && chunk.includes('auth_ok')) resolve(undefined)
        else reject(new Error(`unexpected frame: ${chunk.toString('latin1')}`))
        // What the server closes is closed from here, too.
        if (chunk[0] === 0x88) socket.end(Buffer.from([0x88, 0x82, 0, 0, 0, 0, chunk[2] ?? 0, chunk[3] ?? 0]))
        return
      }
      if (!chunk.toString('latin1').startsWith('HTTP/1.1 101 ')) {
        reject(new Error(`unexpected answer: ${chunk.toString('latin1').slice(0, 300)}`))
        return
      }
      upgraded = true
      if (frames === undefined) resolve(undefined)
      else socket.write(/** @type {Buffer} */ (frames[index % frames.length]))
    })
  })
}

/** @param {{ count: number, first?: number }} question Which of the frames is the first one's; otherwise they go on */
async function openMany({ count, first = opened }) {
  opened = first
  const last = first + count
  const sleep = stayAwake()
  const before = performance.now()
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (opened < last) await open(opened++)
    }),
  )
  sleep()
  return { milliseconds: performance.now() - before }
}

/** Resets all open sockets: a connection closed in the usual way keeps its port for a minute. */
function reset() {
  for (const socket of sockets) {
    socket.removeAllListeners('close')
    socket.resetAndDestroy()
  }
  sockets.length = 0
  return {}
}

answerQuestions((question) => {
  if (question.what === 'open') return openMany(question)
  if (question.what === 'reset') return reset()
  ;({ port, concurrency } = question)
  const { tokens } = question
  frames = tokens?.map((/** @type {string} */ token) => frameOf(JSON.stringify({ type: 'auth', token })))
  return {}
})
