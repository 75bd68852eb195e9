import { closeCodes } from 'upgate/protocol'
import type { WebSocket } from 'ws'

/**
 * Keeps the newest sockets of each principal, and closes the oldest one beyond the limit, which may be dead without having
 * closed yet: a stolen token must not open an unlimited number, at the gateway neither.
 */
export function createKeeper(atMost: number): (principalId: string, socket: WebSocket) => void {
  const open = new Map<string, Set<WebSocket>>()
  return (principalId, socket) => {
    const own = open.get(principalId) ?? new Set()
    open.set(principalId, own)
    own.add(socket)
    socket.once('close', () => {
      own.delete(socket)
      if (own.size === 0 && open.get(principalId) === own) open.delete(principalId)
    })
    const [oldest] = own
    if (own.size > atMost && oldest !== undefined) {
      own.delete(oldest)
      oldest.close(closeCodes.tooMany, 'too_many_sockets')
    }
  }
}
