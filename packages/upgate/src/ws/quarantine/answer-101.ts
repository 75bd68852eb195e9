import type { Principal } from '../../core/contract/principal.ts'
import { upgrade } from '../socket/upgrade.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import type { Shared } from '../talk/shared.ts'
import type { Admission } from './types.ts'

export const serverThrew = 'The WebSocket server threw while it answered an upgrade: the socket is cut.'

/**
 * Lets the application's server answer 101. An exception of the server, or of its listeners, ends this upgrade and not
 * the process.
 *
 * @returns whether it answered at once: it may refuse by itself, or ask its `verifyClient` first
 */
export function answer101<P extends Principal>(
  { gate, limits }: Shared<P>,
  { wss, request, socket, head }: Admission<P>,
  compression: boolean,
  opened: (ws: WebSocketLike) => void,
): boolean {
  let answered = false
  try {
    upgrade(wss, request, socket, head, limits.isSecretSubprotocol, compression, (ws) => {
      answered = true
      opened(ws)
    })
  } catch (error) {
    gate.logger.error(serverThrew, { error })
    socket.destroy()
  }
  return answered
}
