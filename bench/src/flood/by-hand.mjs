import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { digest } from '../fixture.mjs'

/** Milliseconds in which a client has to prove its identity: the default of Upgate's quarantine. */
const deadline = 10_000

/**
 * The usual guard by hand: so many sockets without a credential at a time, first come, first served; a deadline; one
 * frame with a token.
 *
 * @param {string} token The one that is accepted
 * @param {number} maxSockets
 */
export function createByHand(token, maxSockets) {
  const known = digest(token)
  const server = createServer()
  const wss = new WebSocketServer({ noServer: true, maxPayload: 4096 })
  let waiting = 0
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})
    if (waiting >= maxSockets) {
      socket.end('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      return
    }
    waiting++
    let proved = false
    const leave = () => {
      if (!proved) waiting--
      proved = true
    }
    socket.once('close', leave)
    wss.handleUpgrade(request, socket, head, (ws) => {
      const timer = setTimeout(() => ws.close(4408, 'timeout'), deadline)
      ws.once('close', () => clearTimeout(timer))
      ws.on('error', () => {})
      ws.once('message', (data) => {
        clearTimeout(timer)
        if (digest(String(JSON.parse(String(data)).token)) !== known) {
          ws.close(4401, 'wrong token')
          return
        }
        leave()
        ws.send('{"type":"auth_ok"}')
      })
    })
  })
  return server
}
