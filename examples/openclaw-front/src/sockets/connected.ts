import type { Principal } from 'upgate'
import type { WebSocket } from 'ws'

/** A connected node, as the API shows it. */
export interface ConnectedNode {
  readonly id: string
  readonly name: string
  /** Milliseconds since the epoch. */
  readonly since: number
  /** Whether the gateway has accepted it as well. */
  readonly accepted: boolean
}

/** The nodes whose sockets the front accepted. */
export interface ConnectedNodes {
  add(socket: WebSocket, principal: Principal): { accepted(): void }
  list(): readonly ConnectedNode[]
}

export function createConnectedNodes(now: () => number): ConnectedNodes {
  const nodes = new Map<WebSocket, ConnectedNode>()
  return {
    add(socket, { id, displayName }) {
      nodes.set(socket, { id, name: displayName ?? id, since: now(), accepted: false })
      socket.once('close', () => nodes.delete(socket))
      return {
        accepted() {
          const node = nodes.get(socket)
          if (node !== undefined) nodes.set(socket, { ...node, accepted: true })
        },
      }
    },
    list: () => [...nodes.values()],
  }
}
