import type { WebSocket } from 'ws'

/** Unsent bytes on one side from which the other side is not read any more, and down to which they have to fall. */
const highWater = 1024 * 1024
const lowWater = 256 * 1024
/** Milliseconds for the answer to a close frame. */
const closeGrace = 1000
/** Milliseconds between two pings; a side that answers none until the next one is gone. */
const pingInterval = 20_000

/** Hears what passes, before it is sent on. */
export interface Tap {
  /** A message of the gateway; returns the one to send in its place, or nothing to send it unchanged. */
  fromUpstream?(data: Buffer, isBinary: boolean): string | undefined
  /** Stops listening to messages: large ones pass without being looked at. */
  readonly done: boolean
}

/** A socket whose messages wait for the other side to open. */
export interface Held {
  readonly socket: WebSocket
  /** Ends the waiting; returns the messages so far, in order. */
  take(): readonly Message[]
}

type Message = readonly [data: Buffer, isBinary: boolean]

/**
 * Keeps the messages of a socket, and stops reading at the first one: at most the rest of one chunk arrives after it.
 * Until then the socket is read, because a paused socket does not notice that its peer is gone.
 */
export function hold(socket: WebSocket): Held {
  const messages: Message[] = []
  const keep = (data: Buffer, isBinary: boolean): void => {
    messages.push([data, isBinary])
    socket.pause()
  }
  socket.on('message', keep)
  socket.on('error', () => {})
  return {
    socket,
    take() {
      socket.off('message', keep)
      return messages
    },
  }
}

/**
 * Connects two sockets: messages pass in both directions, each side is read only as fast as the other one takes, and
 * with one side the other one ends, with the same code where a close frame can carry it.
 */
export function relay(fromClient: Held, fromUpstream: Held, tap: Tap = { done: true }): void {
  const client = fromClient.socket
  const upstream = fromUpstream.socket
  const up = pass(client, upstream)
  const down = pass(upstream, client, tap)
  for (const message of fromClient.take()) up(...message)
  for (const message of fromUpstream.take()) down(...message)
  endWith(client, upstream)
  endWith(upstream, client)
  watch(client)
  watch(upstream)
  for (const socket of [client, upstream]) if (socket.readyState === socket.OPEN) socket.resume()
  // One of them may have closed while the other one was opening.
  if (client.readyState >= client.CLOSING) end(upstream, 1001, 'client_gone')
  else if (upstream.readyState >= upstream.CLOSING) end(client, 1013, 'upstream_gone')
}

function pass(from: WebSocket, to: WebSocket, tap?: Tap): (...message: Message) => void {
  const sent = (): void => {
    if (from.isPaused && to.bufferedAmount <= lowWater) from.resume()
  }
  const send = (data: Buffer, isBinary: boolean): void => {
    // Messages still arrive after a revocation closed the socket: they must not pass.
    if (from.readyState !== from.OPEN || to.readyState !== to.OPEN) return
    const changed = tap === undefined || tap.done ? undefined : tap.fromUpstream?.(data, isBinary)
    if (changed === undefined) to.send(data, { binary: isBinary }, sent)
    else to.send(changed, sent)
    if (to.bufferedAmount > highWater) from.pause()
  }
  from.on('message', send)
  return send
}

function endWith(one: WebSocket, other: WebSocket): void {
  one.on('error', () => {})
  one.once('close', (code: number, reason: Buffer) => {
    if (isSendable(code)) end(other, code, String(reason))
    // 1006: the connection broke, and the other side may come back. 1005: closed without a code.
    else end(other, code === 1005 ? 1000 : 1001, code === 1005 ? '' : 'other_side_gone')
  })
}

/** Closes a socket, and ends it if its peer does not answer. */
export function end(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState === socket.CLOSED) return
  if (socket.readyState === socket.OPEN) {
    // Paused, the answer to the close frame would never be read.
    socket.resume()
    socket.close(code, reason)
  }
  setTimeout(() => socket.terminate(), closeGrace).unref()
}

function isSendable(code: number): boolean {
  return (
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999)
  )
}

/** Pings, which also keeps proxies from closing an idle socket, and ends a socket that does not answer. */
function watch(socket: WebSocket): void {
  let answered = true
  const timer = setInterval(() => {
    // A paused socket is not read, so its answers are not either: the slow other side is watched.
    if (socket.isPaused) return
    if (!answered) return socket.terminate()
    answered = false
    socket.ping()
  }, pingInterval)
  timer.unref()
  socket.on('pong', () => {
    answered = true
  })
  // A message proves as much as a pong, which waits behind a message of 25 MiB.
  socket.on('message', () => {
    answered = true
  })
  socket.once('close', () => clearInterval(timer))
}
