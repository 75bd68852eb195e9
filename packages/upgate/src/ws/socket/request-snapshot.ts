import { type IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * The header lines of a request. A waiting socket keeps them instead of the request, which would cost it a third
 * more memory.
 */
export interface PackedHeaders {
  /** Shared with all requests that have the same names in the same order. */
  readonly names: readonly string[]
  /** Joined by NUL, which no value holds. */
  readonly values: string
}

/** Few lists are enough for real clients; an attacker's invented header names must not fill the memory. */
const maxShapes = 128
const maxShapeLength = 1024

/** Lists of header names: one of these for each guarded server. */
export class HeaderShapes {
  readonly #byText = new Map<string, readonly string[]>()
  /** Most requests have the names of the one before. */
  #last: readonly string[] = []

  /** The list of these names that all requests share; one of its own where there are too many lists. */
  of(rawHeaders: readonly string[]): readonly string[] {
    if (!isListOf(this.#last, rawHeaders)) this.#last = this.#shared(rawHeaders.filter((_, i) => i % 2 === 0))
    return this.#last
  }

  #shared(names: readonly string[]): readonly string[] {
    const text = names.join('\0')
    const known = this.#byText.get(text)
    if (known !== undefined) return known
    if (this.#byText.size < maxShapes && text.length <= maxShapeLength) this.#byText.set(text, names)
    return names
  }
}

function isListOf(names: readonly string[], rawHeaders: readonly string[]): boolean {
  if (names.length * 2 !== rawHeaders.length) return false
  for (let i = 0; i < names.length; i++) if (names[i] !== rawHeaders[2 * i]) return false
  return true
}

/**
 * Packs the header lines of a request.
 *
 * @param shapes - the lists of names seen so far; a new one is added while there are few
 */
export function packHeaders({ rawHeaders }: IncomingMessage, shapes: HeaderShapes): PackedHeaders {
  const values: string[] = []
  for (let i = 1; i < rawHeaders.length; i += 2) {
    const value = rawHeaders[i] as string
    // Node refuses NUL unless its parser is lenient; a recipient that does not must replace it (RFC 9110 section 5.5).
    values.push(value.includes('\0') ? value.replaceAll('\0', ' ') : value)
  }
  // Joined, not added one by one: V8 would keep each of them, and a tree.
  return { names: shapes.of(rawHeaders), values: values.join('\0') }
}

/**
 * Rebuilds the request of the server's `upgrade` event. The result is a new object, without the properties that other
 * code added to the original before acceptance.
 */
export function unpackRequest(url: string, packed: PackedHeaders, socket: Duplex): IncomingMessage {
  const request = new UnpackedRequest(socket as Socket)
  request[lines] = packed
  request.method = 'GET'
  request.url = url
  request.httpVersion = '1.1'
  request.httpVersionMajor = 1
  request.httpVersionMinor = 1
  request.complete = true
  return request
}

/** Key of a request's header lines that are still packed. */
const lines: unique symbol = Symbol('upgate.lines')

class UnpackedRequest extends IncomingMessage {
  [lines]: PackedHeaders | undefined
}

// Unpacked at the first read; many applications never read them. Node keeps both as plain values of the instance.
lazily('rawHeaders', ({ names, values }) => {
  const list = values.split('\0')
  return names.flatMap((name, i) => [name, list[i] as string])
})
lazily('headers', (_, request) => headersOf(request.rawHeaders))

function lazily(
  property: 'headers' | 'rawHeaders',
  unpack: (packed: PackedHeaders, request: IncomingMessage) => unknown,
): void {
  const define = (request: object, value: unknown): void => {
    Object.defineProperty(request, property, { value, writable: true, enumerable: true, configurable: true })
  }
  Object.defineProperty(UnpackedRequest.prototype, property, {
    configurable: true,
    get(this: UnpackedRequest) {
      const packed = this[lines]
      if (packed === undefined) return undefined
      const value = unpack(packed, this)
      define(this, value)
      return value
    },
    set(this: UnpackedRequest, value: unknown) {
      // Node's constructor sets both to nothing; only later assignments count.
      if (this[lines] !== undefined) define(this, value)
    },
  })
}

/** Headers of which Node keeps the first when they occur twice (documentation of `message.headers`). */
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
