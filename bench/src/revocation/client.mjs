import { connect } from 'node:net'
import { answerQuestions } from '../answer.mjs'
import { median } from '../statistics.mjs'

/** Sockets on their way to being open at a time. */
const concurrency = 32

/** @type {(() => void) | undefined} */
let whenNone
/** Called when a socket gets its close frame. @type {(() => void) | undefined} */
let onCloseFrame
let open = 0

/**
 * Opens one socket, and answers the server's close frame as a client does.
 *
 * @param {number} port
 * @param {string | undefined} token
 */
function join(port, token) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const credential = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`
    socket.write(
      `GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${credential}\r\n`,
      'latin1',
    )
    let upgraded = false
    socket.once('error', reject)
    socket.once('close', () => {
      if (--open === 0) whenNone?.()
    })
    socket.on('data', (chunk) => {
      if (!upgraded) {
        upgraded = chunk.toString('latin1').startsWith('HTTP/1.1 101 ')
        if (upgraded) resolve(++open)
        else reject(new Error(chunk.toString('latin1').slice(0, 300)))
      } else if (chunk[0] === 0x88) {
        onCloseFrame?.()
        // The same code, with the mask 0, which is a valid one.
        socket.end(Buffer.from([0x88, 0x82, 0, 0, 0, 0, chunk[2] ?? 0, chunk[3] ?? 0]))
      }
    })
  })
}

/**
 * Milliseconds from the request that revokes a principal to the close frame of the last of its sockets.
 *
 * @param {import('node:net').Socket} admin
 * @param {number} principal
 * @param {number} count Sockets that it has
 */
function revoke(admin, principal, count) {
  return new Promise((resolve) => {
    let left = count
    const before = performance.now()
    onCloseFrame = () => {
      if (--left === 0) resolve(performance.now() - before)
    }
    admin.write(`GET /${principal} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
  })
}

/** @param {{ admin: number, single: number, sockets: number }} question Principals with one socket; sockets of the last one */
async function revokeAll({ admin: port, single, sockets }) {
  const admin = connect({ port, host: '127.0.0.1', noDelay: true })
  const answered = () => new Promise((resolve) => admin.once('data', resolve))
  /** @type {number[]} */
  const times = []
  for (let n = 0; n < single; n++) {
    const [time] = await Promise.all([revoke(admin, n, 1), answered()])
    times.push(time)
  }
  const many = await revoke(admin, single, sockets)
  return { one: median(times), slowest: Math.max(...times), many }
}

answerQuestions(async (question) => {
  const { what, port, tokens, count } = question
  if (what === 'revoke') return revokeAll(question)
  if (what === 'gone') {
    if (open > 0) await new Promise((resolve) => (whenNone = () => resolve(undefined)))
    return {}
  }
  let next = 0
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (next < count) await join(port, tokens[next++ % tokens.length])
    }),
  )
  return {}
})
