import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import type { UpstreamSockets } from '../upstream/sockets.ts'
import { watchForHello } from './hello.ts'
import { end, hold, relay } from './relay.ts'

/**
 * Connects the socket of a person's page, or of a worker, with the gateway. The client and the gateway do their handshake
 * with each other; the front only notices when it is over.
 */
export function connectPage(
  socket: WebSocket,
  request: IncomingMessage,
  sockets: UpstreamSockets,
  log: (message: string) => void,
): void {
  const held = hold(socket)
  const gone = new AbortController()
  socket.once('close', () => gone.abort(new Error('The client has gone.')))
  sockets
    .openFor(request, gone.signal, () => end(socket, 1013, 'upstream_busy'))
    .then(({ opened, slot }) => {
      opened.socket.once('close', () => slot.release())
      slot.opened()
      // The gateway drops a socket that it has not accepted after 15 s: one that is still open does not wait any more.
      const timer = setTimeout(() => slot.release(), longestHandshake)
      timer.unref()
      opened.socket.once('close', () => clearTimeout(timer))
      relay(held, opened, watchForHello({ onAnswer: () => slot.release() }))
    })
    .catch((error: unknown) => {
      held.take()
      if (socket.readyState !== socket.OPEN) return
      log(
        `A socket could not be connected with the gateway: ${error instanceof Error ? error.message : 'unknown'}`,
      )
      end(socket, 1013, 'upstream_unavailable')
    })
}

/** Milliseconds after which the gateway has accepted or dropped a socket. */
const longestHandshake = 20_000
