import type { WebSocket } from 'ws'

/** A peer that vanished without a word is noticed after one to two intervals. In milliseconds. */
const interval = 20_000

/** Pings a socket until it closes, and ends it when a whole interval brought no sign of life. */
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
