import type { Principal } from 'upgate'
import type { WebSocket } from 'ws'
import type { Audit } from './audit.ts'
import { searchText, summarise } from './audit-summary.ts'
import { watchHeartbeat } from './heartbeat.ts'
import type { Presence, Topic } from './presence.ts'
import { scopes } from './scopes.ts'
import { sendJson, sendToAll } from './send.ts'

/** Live updates for open pages, over `/ws/live`. */
export interface Live {
  /** Takes over an accepted socket. */
  accept(socket: WebSocket, principal: Principal): void
  /** Tells the pages of all instances to fetch changed devices, keys or pairings again. */
  changed(what: Topic): void
}

/** Sends the nodes after every change, and new audit lines, to users with the scopes for them. */
export function createLive(nodes: Presence, audit: Audit): Live {
  const readers = new Set<WebSocket>()
  const auditors = new Set<WebSocket>()
  let pending = false
  nodes.onChange(() => {
    // A thousand nodes that reconnect at once cause one message, not a thousand.
    if (pending) return
    pending = true
    setImmediate(() => {
      pending = false
      sendToAll(readers, { type: 'nodes', nodes: nodes.list() })
    })
  })
  const tell = (what: Topic): void => sendToAll(readers, { type: 'changed', what })
  nodes.onTopic(tell)
  audit.onLine((line) => {
    if (auditors.size > 0)
      sendToAll(auditors, { type: 'audit', line, summary: { ...summarise(line), search: searchText(line) } })
  })
  return {
    accept(socket, principal) {
      watchHeartbeat(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        readers.delete(socket)
        auditors.delete(socket)
      })
      if (principal.scopes.includes(scopes.admin)) auditors.add(socket)
      if (!principal.scopes.includes(scopes.read)) return
      readers.add(socket)
      sendJson(socket, { type: 'nodes', nodes: nodes.list() })
    },
    changed(what) {
      tell(what)
      nodes.announce(what)
    },
  }
}
