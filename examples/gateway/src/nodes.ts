import { randomUUID } from 'node:crypto'
import type { Principal } from 'upgate'
import type { WebSocket } from 'ws'
import { addressHint, type SeenAddress } from './client-address.ts'
import { watchHeartbeat } from './heartbeat.ts'
import { parseMessage, sendJson } from './send.ts'
import { createTokenBucket } from './token-bucket.ts'

/** Longest message a node may send, in bytes. */
export const nodeMessageLimit: number = 64 * 1024

/** A connected node as the API and the pages show it. Everything but the address comes from its record. */
export interface ConnectedNode {
  /** Node id: the id of the device. A device may be connected more than once. */
  readonly id: string
  /** Distinguishes several connections of one device. */
  readonly connection: string
  readonly name: string
  readonly role: string
  readonly address: string | null
  /** Whether the node connected directly, a proxy forwarded it, or the address may be a proxy's. */
  readonly addressHint: string
  /** ISO 8601. */
  readonly connectedAt: string
}

/** The connected nodes. */
export interface Nodes {
  /** Takes over an accepted socket. */
  accept(socket: WebSocket, principal: Principal, seen: SeenAddress): void
  list(): readonly ConnectedNode[]
  /** Calls the listener after every change. Returns a function that removes the listener. */
  onChange(listener: () => void): () => void
}

export interface NodesOptions {
  /** Milliseconds since the epoch. */
  now(): number
}

/** Keeps the list of connected nodes and answers their requests. */
export function createNodes(options: NodesOptions): Nodes {
  const { now } = options
  const connected = new Map<string, ConnectedNode>()
  const listeners = new Set<() => void>()
  const changed = (): void => {
    for (const listener of listeners) listener()
  }
  return {
    accept(socket, principal, seen) {
      const node: ConnectedNode = {
        id: principal.id,
        connection: randomUUID(),
        name: principal.displayName ?? principal.id,
        role: principal.roles[0] ?? principal.kind,
        address: seen.address ?? null,
        addressHint: addressHint(seen),
        connectedAt: new Date(now()).toISOString(),
      }
      connected.set(node.connection, node)
      watchHeartbeat(socket)
      const limit = createTokenBucket(50, 100)
      socket.on('message', (data, isBinary) => {
        if (limit(now()) > 0) socket.close(4429, 'too_many')
        else answer(socket, node, data, isBinary)
      })
      // Without a listener an oversized frame would end the process; `close` follows and removes the node.
      socket.on('error', () => {})
      socket.once('close', () => {
        connected.delete(node.connection)
        changed()
      })
      changed()
    },
    list: () => [...connected.values()],
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** Answers `ping` and `whoami`; events need no answer; every other message gets an error that lists these. */
function answer(socket: WebSocket, node: ConnectedNode, data: unknown, isBinary: boolean): void {
  const message = parseMessage(data, isBinary)
  if (message === undefined) {
    sendJson(socket, {
      type: 'event',
      event: 'error',
      payload: { code: 'bad_message', message: 'Not a JSON object.' },
    })
    return
  }
  if (message.type !== 'req') return
  const { id, method } = message
  if (typeof id !== 'string' || id.length > 128) {
    sendJson(socket, {
      type: 'event',
      event: 'error',
      payload: { code: 'bad_message', message: 'A request needs an "id" of at most 128 characters.' },
    })
  } else if (method === 'ping') {
    sendJson(socket, { type: 'res', id, ok: true, payload: {} })
  } else if (method === 'whoami') {
    sendJson(socket, {
      type: 'res',
      id,
      ok: true,
      payload: { id: node.id, name: node.name, role: node.role },
    })
  } else {
    sendJson(socket, {
      type: 'res',
      id,
      ok: false,
      error: { code: 'unknown_method', message: 'This gateway answers ping and whoami.' },
    })
  }
}
