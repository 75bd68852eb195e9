import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Principal } from 'upgate'
import type { WebSocket } from 'ws'
import type { UpstreamConfig } from '../config.ts'
import { connectAs } from '../upstream/connect-request.ts'
import { identityOf } from '../upstream/identity.ts'
import { readChallenge } from '../upstream/open.ts'
import type { UpstreamSockets } from '../upstream/sockets.ts'
import type { ConnectedNodes } from './connected.ts'
import type { SignedNode } from './handed-nonce-handshake.ts'
import { helloForNode, unavailable, watchForHello } from './hello.ts'
import { type Json, parseObject } from './json.ts'
import type { ArrivedNode } from './own-key-handshake.ts'
import { end, type Held, hold, relay } from './relay.ts'

export interface NodeParts {
  readonly upstream: UpstreamConfig
  readonly sockets: UpstreamSockets
  readonly connected: ConnectedNodes
  /** Secret from which the keys of nodes are derived. */
  readonly secret: Uint8Array
  log(message: string): void
}

/** Brings accepted nodes to the gateway. */
export interface NodeSockets {
  /** Under a key of the front's own. */
  byOwnKey(socket: WebSocket, request: IncomingMessage, principal: Principal, node: ArrivedNode): void
  /** With the proof that the node made for the gateway. */
  bySignature(socket: WebSocket, request: IncomingMessage, principal: Principal, node: SignedNode): void
  /** A node that proved itself in a header, before it said anything: the front asks it for its request first. */
  byHeader(socket: WebSocket, request: IncomingMessage, principal: Principal): void
}

export function createNodeSockets(parts: NodeParts): NodeSockets {
  const { upstream, sockets, connected, secret, log } = parts

  async function bring(
    held: Held,
    request: IncomingMessage,
    principal: Principal,
    node: ArrivedNode,
  ): Promise<void> {
    const { socket } = held
    const entry = connected.add(socket, principal)
    const gone = new AbortController()
    socket.once('close', () => gone.abort(new Error('The node has gone.')))
    const { opened, slot } = await sockets.openAsFront(request, gone.signal)
    try {
      const challenge = await readChallenge(opened, gone.signal)
      const tap = watchForHello({
        id: String(node.request.id),
        change: (answer) => {
          const { frame, accepted } = helloForNode(answer, node.issued, principal.roles[0] ?? 'node')
          slot.release()
          if (accepted) entry.accepted()
          else sayRefused(principal, answer, log)
          return frame
        },
      })
      opened.socket.once('close', () => slot.release())
      opened.socket.send(
        connectAs(identityOf(secret, principal.id), node.request, challenge, upstream.secret),
      )
      relay(held, challenge.held, tap)
    } catch (error) {
      slot.release()
      throw error
    }
  }

  function start(held: Held, request: IncomingMessage, principal: Principal, node: ArrivedNode): void {
    bring(held, request, principal, node).catch((error: unknown) => {
      const { socket } = held
      if (socket.readyState !== socket.OPEN) return
      log(`A node could not be brought to the gateway: ${messageOf(error)}`)
      held.take()
      socket.send(
        JSON.stringify({
          type: 'res',
          id: node.request.id,
          ok: false,
          error: unavailable('The gateway behind this front cannot be reached.'),
        }),
      )
      end(socket, 1013, 'upstream_unavailable')
    })
  }

  return {
    byOwnKey: (socket, request, principal, node) => start(hold(socket), request, principal, node),
    bySignature(socket, request, principal, { upstream: waiting, text }) {
      const held = hold(socket)
      sockets.remember(request)
      const entry = connected.add(socket, principal)
      const { held: opened, slot } = waiting
      const tap = watchForHello({
        onAnswer(accepted) {
          slot.release()
          if (accepted) entry.accepted()
        },
      })
      if (opened.socket.readyState === opened.socket.OPEN) opened.socket.send(text)
      relay(held, opened, tap)
    },
    byHeader(socket, request, principal) {
      const nonce = randomBytes(32).toString('base64url')
      const payload = { nonce, ts: Date.now() }
      socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload }))
      const timer = setTimeout(() => end(socket, 4408, 'handshake_timeout'), 10_000)
      socket.on('error', () => {})
      socket.once('close', () => clearTimeout(timer))
      socket.once('message', (data: Buffer, isBinary) => {
        clearTimeout(timer)
        const frame: Json | undefined = isBinary ? undefined : parseObject(data.toString('utf8'))
        if (frame?.method !== 'connect' || typeof frame.id !== 'string' || frame.id.length > 128) {
          return end(socket, 1008, 'bad_handshake')
        }
        start(hold(socket), request, principal, { request: frame, issued: undefined })
      })
    },
  }
}

function sayRefused(principal: Principal, answer: Json, log: (message: string) => void): void {
  const error = (answer.error ?? {}) as { readonly details?: Json }
  const { code, requestId } = error.details ?? {}
  const name = JSON.stringify(principal.displayName ?? principal.id)
  if (code === 'PAIRING_REQUIRED') {
    log(`The gateway has to approve the node ${name}: openclaw devices approve ${plain(requestId)}`)
  } else {
    log(`The gateway refused the node ${name} that the front brought (${plain(code)}).`)
  }
}

/** Words of the gateway in a line of the log. */
function plain(word: unknown): string {
  return typeof word === 'string' && /^[\w.:-]{1,128}$/.test(word) ? word : 'no code'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error'
}
