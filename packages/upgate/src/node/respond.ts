import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { HeaderList } from '../core/contract/decision.ts'
import type { RenderedResponse } from '../core/contract/rendered-response.ts'
import type { Clock } from '../core/ports/clock.ts'

/** The part of a response that takes headers: of Node's response and of frameworks' wrappers. */
type Headers = Pick<ServerResponse, 'getHeader' | 'setHeader' | 'appendHeader'>

/** Milliseconds a refused upgrade's peer has for reading the answer before its socket is destroyed. */
const readingGrace = 1_000

/** Adds a decision's header lines to an answer: `Set-Cookie` is appended, `Vary` merged, anything else set. */
export function addHeaders(response: Headers, headers: HeaderList): void {
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (lower === 'set-cookie') response.appendHeader(name, value)
    else if (lower === 'vary') response.setHeader(name, mergeVary(response.getHeader('vary'), value))
    else response.setHeader(name, value)
  }
}

/** Sets a rendered answer's header lines; a name that occurs twice in it keeps both lines. */
export function setHeaders(response: Headers, headers: HeaderList): void {
  const set = new Set<string>()
  for (const line of headers) {
    const lower = line[0].toLowerCase()
    if (set.has(lower)) response.appendHeader(line[0], line[1])
    else addHeaders(response, [line])
    set.add(lower)
  }
}

/**
 * Sees to it that the connection ends with this answer. Node leaves a socket that it handed out in an `upgrade`
 * event to the listener that took it, also where a wrapper made a response out of it.
 */
export function closeAfter(response: ServerResponse): void {
  if (response.headersSent) return
  response.setHeader('Connection', 'close')
  response.once('finish', () => response.socket?.destroySoon())
}

/** Writes a rendered answer to an ordinary response, and ends it. */
export function respond(response: ServerResponse, rendered: RenderedResponse): void {
  if (response.headersSent) {
    // Part of another answer is out: cutting it short is the only refusal left.
    response.destroy()
    return
  }
  response.statusCode = rendered.status
  setHeaders(response, rendered.headers)
  response.end(rendered.body)
}

/**
 * Writes a rendered answer to the socket of a refused upgrade, and gets rid of the socket.
 *
 * The caller has attached an `error` listener. What the peer sent after its request is read and dropped, so that
 * closing does not turn into a reset that overtakes the answer; a peer that does not read is cut off in a second.
 */
export function respondToSocket(socket: Duplex, rendered: RenderedResponse, clock: Clock): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  let head = `HTTP/1.1 ${rendered.status} ${STATUS_CODES[rendered.status] ?? ''}\r\n`
  head += `Date: ${new Date(clock.now()).toUTCString()}\r\n`
  let hasLength = false
  for (const [name, value] of rendered.headers) {
    const lower = name.toLowerCase()
    // Nothing here has passed through Node's header checks: a line break would be a second answer.
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value) || lower === 'connection') continue
    if (lower === 'content-length') hasLength = true
    head += `${name}: ${value}\r\n`
  }
  if (!hasLength) head += `Content-Length: ${Buffer.byteLength(rendered.body)}\r\n`
  const cutOff = clock.setTimer(readingGrace, () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  socket.once('close', () => cutOff.cancel())
  socket.resume()
  socket.cork()
  socket.write(`${head}Connection: close\r\n\r\n`, 'latin1')
  socket.end(rendered.body)
}

function mergeVary(present: number | string | readonly string[] | undefined, added: string): string {
  const names = present === undefined ? '' : String(present)
  if (names === '') return added
  const known = new Set(
    names
      .toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  )
  const missing = added.split(',').filter((name) => !known.has(name.trim().toLowerCase()))
  return known.has('*') || missing.length === 0
    ? names
    : `${names}, ${missing.map((name) => name.trim()).join(', ')}`
}
