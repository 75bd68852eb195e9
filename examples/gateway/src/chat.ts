import type { Principal } from 'upgate'
import type { WebSocket } from 'ws'
import { watchHeartbeat } from './heartbeat.ts'
import { parseMessage, sendJson, sendToAll } from './send.ts'
import { createTokenBucket } from './token-bucket.ts'

/** Longest text of one message, in characters; the socket server limits the whole frame. */
export const chatTextLimit = 2000

/** Longest frame a browser may send, in bytes: the longest text in its longest encoding. */
export const chatFrameLimit: number = 16 * 1024

/** Number of earlier messages that a new page gets. */
const historyLimit = 50

interface ChatMessage {
  readonly type: 'message'
  /** Position in the conversation: a page that reconnects skips the messages that it has. */
  readonly number: number
  readonly from: string
  readonly seat: number
  readonly text: string
  /** ISO 8601. */
  readonly at: string
}

/** The room behind `/ws/chat`. */
export interface Chat {
  /** Takes over an accepted socket. */
  accept(socket: WebSocket, principal: Principal): void
}

export interface ChatOptions {
  /** Milliseconds since the epoch. */
  now(): number
}

/** Creates the chat room. Names come from the account, never from the browser; the seat distinguishes two windows. */
export function createChat(options: ChatOptions): Chat {
  const { now } = options
  const present = new Set<WebSocket>()
  const history: ChatMessage[] = []
  let messages = 0
  let seats = 0

  const announcePresence = (): void => sendToAll(present, { type: 'presence', count: present.size })

  return {
    accept(socket, principal) {
      const from = principal.displayName ?? principal.id
      seats += 1
      const seat = seats
      const limit = createTokenBucket(5, 1000)
      let excess = 0
      present.add(socket)
      watchHeartbeat(socket)
      sendJson(socket, { type: 'welcome', from, seat, history, textLimit: chatTextLimit })
      announcePresence()

      socket.on('message', (data, isBinary) => {
        const wait = limit(now())
        if (wait > 0) {
          excess += 1
          if (excess > 20) socket.close(4429, 'too_many')
          else
            sendJson(socket, { type: 'error', code: 'too_fast', detail: `Wait ${Math.ceil(wait / 1000)} s.` })
          return
        }
        excess = 0
        const message = parseMessage(data, isBinary)
        const text = message?.type === 'say' ? message.text : undefined
        if (typeof text !== 'string') {
          sendJson(socket, {
            type: 'error',
            code: 'bad_message',
            detail: 'Send {"type":"say","text":"..."}.',
          })
          return
        }
        const said = text.trim()
        if (said === '') return
        if (said.length > chatTextLimit) {
          sendJson(socket, {
            type: 'error',
            code: 'too_long',
            detail: `At most ${chatTextLimit} characters.`,
          })
          return
        }
        messages += 1
        const entry: ChatMessage = {
          type: 'message',
          number: messages,
          from,
          seat,
          text: said,
          at: new Date(now()).toISOString(),
        }
        history.push(entry)
        if (history.length > historyLimit) history.shift()
        sendToAll(present, entry)
      })
      // Without a listener an oversized frame would end the process; `close` follows and removes the socket.
      socket.on('error', () => {})
      socket.once('close', () => {
        present.delete(socket)
        announcePresence()
      })
    },
  }
}
