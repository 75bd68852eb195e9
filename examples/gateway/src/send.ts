import type { WebSocket } from 'ws'

/** Unsent bytes after which a slow reader is cut off; its queue would otherwise grow without limit. */
const maximumBacklog = 1024 * 1024

/** Sends a JSON message to an open socket; ends a socket that does not read. */
export function sendJson(socket: WebSocket, message: unknown): void {
  sendText(socket, JSON.stringify(message))
}

/** Sends one text to many sockets, serialised once. */
export function sendToAll(sockets: Iterable<WebSocket>, message: unknown): void {
  const text = JSON.stringify(message)
  for (const socket of sockets) sendText(socket, text)
}

function sendText(socket: WebSocket, text: string): void {
  if (socket.readyState !== socket.OPEN) return
  if (socket.bufferedAmount > maximumBacklog) socket.terminate()
  else socket.send(text)
}

/** Parses a text message as a JSON object; returns `undefined` for any other message. */
export function parseMessage(
  data: unknown,
  isBinary: boolean,
): Readonly<Record<string, unknown>> | undefined {
  if (isBinary) return undefined
  try {
    const value: unknown = JSON.parse(String(data))
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return value as Readonly<Record<string, unknown>>
  } catch {
    return undefined
  }
}
