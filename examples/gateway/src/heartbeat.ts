import type { WebSocket } from 'ws'

/** Milliseconds between pings; a client that vanished is noticed after one to two intervals. */
const interval = 20_000

/** Pings a socket until it closes, and ends it after a whole interval without a pong or message. */
export function watchHeartbeat(socket: WebSocket, every: number = interval): void {
  let alive = true
  const timer = setInterval(() => {
    if (!alive) {
      socket.terminate()
      return
    }
    alive = false
    socket.ping()
  }, every)
  timer.unref()
  const sawLife = (): void => {
    alive = true
  }
  socket.on('pong', sawLife)
  socket.on('message', sawLife)
  socket.once('close', () => clearInterval(timer))
}
