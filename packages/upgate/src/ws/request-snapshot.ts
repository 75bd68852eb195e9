import { type IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * The headers of a request as one string. A waiting socket keeps that instead of the request, which would cost it
 * a third more memory; header values hold no NUL (RFC 9110 section 5.5, and Node refuses it).
 */
export function packHeaders(request: IncomingMessage): string {
  return request.rawHeaders.join('\0')
}

/**
 * Builds a request as the server's `upgrade` event had it. It is another object: what somebody else hung on the
 * original before acceptance is not on it.
 */
export function unpackRequest(url: string, packed: string, socket: Duplex): IncomingMessage {
  const rawHeaders = packed === '' ? [] : packed.split('\0')
  const request = new IncomingMessage(socket as Socket)
  request.method = 'GET'
  request.url = url
  request.httpVersion = '1.1'
  request.httpVersionMajor = 1
  request.httpVersionMinor = 1
  request.rawHeaders = rawHeaders
  request.headers = headersOf(rawHeaders)
  request.complete = true
  return request
}

/** Of which Node keeps the first when they occur twice (documentation of `message.headers`). */
const single: ReadonlySet<string> = new Set([
  'age',
  'authorization',
  'content-length',
  'content-type',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'referer',
  'retry-after',
  'server',
  'user-agent',
])

/** Headers by lower-case name, duplicates treated as Node documents for `message.headers`. */
function headersOf(rawHeaders: readonly string[]): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {}
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase()
    const value = rawHeaders[i + 1] as string
    if (name === '__proto__') continue
    const present = Object.hasOwn(headers, name) ? headers[name] : undefined
    if (name === 'set-cookie') headers[name] = [...(headers[name] ?? []), value]
    else if (present === undefined) headers[name] = value
    else if (!single.has(name)) headers[name] = `${String(present)}${name === 'cookie' ? '; ' : ', '}${value}`
  }
  return headers
}
