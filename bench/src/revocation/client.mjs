import { connect } from 'node:net'
import { answerQuestions } from '../answer.mjs'

/** Sockets on their way to being open at a time. */
const concurrency = 32

/** @type {(() => void) | undefined} */
let whenNone
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
        // The same code, with the mask 0, which is a valid one.
        socket.end(Buffer.from([0x88, 0x82, 0, 0, 0, 0, chunk[2] ?? 0, chunk[3] ?? 0]))
      }
    })
  })
}

answerQuestions(async ({ what, port, tokens, count }) => {
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
