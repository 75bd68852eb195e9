import type { Credential } from '../contract/credential.ts'
import type { AuthRequest } from '../contract/request.ts'

/** Most characters of credentials that are looked for; a text about more than that is not shown at all. */
const maxCollected = 16_384
/** Values longer than this are looked for as they are, not also encoded. */
const maxEncoded = 4_096
const maxValues = 400
const maxDepth = 8
/** Objects, strings and numbers looked at within values. */
const maxVisited = 2_000
const replacement = '[redacted]'

/** Headers that say nothing secret: an exception may quote them. Of any other, scheme or not, the value is replaced. */
const harmless: ReadonlySet<string> = new Set(
  (
    'accept accept-charset accept-encoding accept-language cache-control cdn-loop cf-connecting-ip cf-ipcountry cf-ray ' +
    'cf-visitor connection content-encoding content-length content-type date dnt expect forwarded host if-match ' +
    'if-modified-since if-none-match if-range if-unmodified-since keep-alive origin pragma priority range ' +
    'sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-websocket-extensions sec-websocket-key ' +
    'sec-websocket-version te transfer-encoding upgrade upgrade-insecure-requests user-agent via x-forwarded-for ' +
    'x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip x-requested-with'
  ).split(' '),
)

/** Words before a credential in `Authorization` (RFC 9110 section 11.4); what begins otherwise is all credential. */
const schemeName =
  /^(?:basic|bearer|digest|token|apikey|key|negotiate|ntlm|hawk|dpop|signature|aws4-hmac-sha256) +/i

/**
 * The credentials of one request or frame, to be replaced in what an exception says of it.
 *
 * Replaced is every part of them that a message may quote: six characters in a row, of shorter secrets half of them.
 * They are found as sent, URL-decoded and encoded, as JSON, in base64 (at any offset), in hex, and as what they hold
 * where they are base64 themselves. Values of one or two characters are left: they are no secrets.
 */
export class Secrets {
  /** Parts of every spelling of every secret, folded, by their length. */
  readonly #parts = new Map<number, Set<string>>()
  readonly #known = new Set<string>()
  #collected = 0
  #visited = 0
  #overflow = false

  /** Adds cookies, query parameters and all headers but those that are known to hold no secret. */
  addRequest(request: AuthRequest): this {
    const raw = request.rawHeaders ?? []
    for (let i = 0; i + 1 < raw.length; i += 2) this.#addHeader(raw[i], raw[i + 1])
    for (const [name, value] of Object.entries(request.headers ?? {})) {
      for (const each of [value].flat()) this.#addHeader(name, each)
    }
    for (const target of [request.target, request.rewrittenTarget]) this.#addQuery(target)
    return this
  }

  /** Adds a credential, whatever it is made of. */
  addCredential(credential: Credential | undefined): this {
    if (typeof credential !== 'object' || credential === null) return this
    const { value } = credential
    if (typeof value === 'string') this.#add(value, true)
    else if (isRequest(value)) this.addRequest(value)
    else this.addData(value)
    return this
  }

  /** Adds the strings and numbers within a value: a message, what a handshake keeps of a socket. */
  addData(value: unknown, depth = 0, key: unknown = ''): this {
    if (++this.#visited > maxVisited || depth > maxDepth) this.#overflow = true
    if (this.#overflow) return this
    if (typeof value === 'string') this.#add(value, depth === 0 || secretName.test(String(key)))
    else if (typeof value === 'number' || typeof value === 'bigint') this.#add(String(value), false)
    else if (value instanceof Uint8Array) this.#addBytes(value)
    else if (value instanceof Map) for (const [name, inner] of value) this.addData(inner, depth + 1, name)
    else if (value instanceof Set) for (const inner of value) this.addData(inner, depth + 1, key)
    else if (typeof value === 'object' && value !== null) {
      for (const [name, inner] of Object.entries(value)) this.addData(inner, depth + 1, name)
    }
    return this
  }

  /** Adds a text frame: what stands in its JSON, or all of it. */
  addText(text: string): this {
    let value: unknown = text
    try {
      value = JSON.parse(text)
    } catch {}
    return this.addData(value)
  }

  /** The text with every credential, and every part of one, replaced. */
  redact(text: string): string {
    if (this.#overflow) return '[not shown: the credentials of this request are too many to be replaced]'
    const folded = fold(text)
    const marks = new Uint8Array(text.length)
    for (const [length, parts] of this.#parts) {
      for (let at = 0; at + length <= folded.length; at++) {
        if (parts.has(folded.slice(at, at + length))) marks.fill(1, at, at + length)
      }
    }
    return replaceMarked(text, marks)
  }

  #addHeader(name: unknown, value: unknown): void {
    if (typeof name !== 'string' || typeof value !== 'string') return
    const lower = name.toLowerCase()
    if (harmless.has(lower) || lower.startsWith('sec-ch-')) return
    if (lower === 'cookie') {
      for (const pair of value.split(';')) this.#add(pair.slice(pair.indexOf('=') + 1), false)
    } else if (lower === 'referer') this.#addQuery(value)
    else if (lower === 'sec-websocket-protocol') {
      for (const offered of value.split(',')) {
        this.#add(offered, false)
        this.#add(offered.slice(offered.lastIndexOf('.') + 1), false)
      }
    } else {
      this.#add(lower.endsWith('authorization') ? value.trim().replace(schemeName, '') : value, true)
    }
  }

  #addQuery(target: string | undefined): void {
    const at = typeof target === 'string' ? target.indexOf('?') : -1
    if (at === -1) return
    for (const pair of (target as string).slice(at + 1).split(/[&#]/)) {
      const value = pair.slice(pair.indexOf('=') + 1)
      this.#add(value, false)
      if (value.includes('+')) this.#add(value.replaceAll('+', ' '), false)
    }
  }

  #addBytes(bytes: Uint8Array): void {
    let text = ''
    for (const byte of bytes.subarray(0, maxCollected)) text += String.fromCharCode(byte)
    if (bytes.length > maxCollected) this.#overflow = true
    this.#add(text, true)
    this.#push(bytes.subarray(0, maxEncoded).join(','), 12)
  }

  /** @param chosen - whether it may be short and a secret nevertheless, as a password is */
  #add(raw: string, chosen: boolean): void {
    const value = raw.trim().replace(/^"(.*)"$/s, '$1')
    if (value.length < (chosen ? 3 : 4) || this.#known.has(value)) return
    this.#known.add(value)
    this.#collected += value.length
    if (this.#collected > maxCollected || this.#known.size > maxValues) this.#overflow = true
    if (this.#overflow) return
    this.#addForms(value, chosen)
    const decoded = percentDecoded(value)
    if (decoded !== value) this.#addForms(decoded, chosen)
    if (value.length > maxEncoded || isCompactJws(value)) return
    for (const [run] of decoded.matchAll(/[A-Za-z0-9+/_-]{8,}/g)) {
      const held = fromBase64(run)
      if (held === undefined) continue
      this.#addForms(held, chosen)
      // `user:password` of the Basic scheme.
      const colon = held.indexOf(':')
      if (colon !== -1 && held.length - colon > 3) this.#addForms(held.slice(colon + 1), chosen)
    }
  }

  #addForms(value: string, chosen: boolean): void {
    const { length } = value
    const part =
      length >= 12
        ? 6
        : chosen
          ? Math.max(3, Math.ceil(length / 2))
          : length < 8
            ? length
            : Math.min(6, length)
    this.#push(value, part)
    if (length > maxEncoded) return
    this.#push(JSON.stringify(value).slice(1, -1), part)
    const bytes = utf8Of(value)
    this.#push(percentEncoded(bytes), part)
    // In base64 a text looks different at each of three offsets; the characters at the ends depend on its neighbours.
    for (const offset of [0, 1, 2]) {
      const encoded = toBase64([...new Array<number>(offset).fill(0), ...bytes])
      const inner = encoded.slice(
        offset === 0 ? 0 : offset + 1,
        Math.floor(((offset + bytes.length) * 8) / 6),
      )
      this.#push(inner, Math.min(6, Math.max(4, inner.length)))
    }
    const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0'))
    this.#push(hex.join(''), Math.min(10, 2 * length))
    this.#push(hex.join(' '), Math.min(14, 3 * length - 1))
  }

  #push(form: string, length: number): void {
    const folded = fold(form)
    let parts = this.#parts.get(length)
    if (parts === undefined) {
      parts = new Set()
      this.#parts.set(length, parts)
    }
    for (let at = 0; at + length <= folded.length; at++) parts.add(folded.slice(at, at + length))
  }
}

function isRequest(value: unknown): value is AuthRequest {
  return typeof value === 'object' && value !== null && 'rawHeaders' in value && 'target' in value
}

const secretName = /pass|secret|token|key|code|cred|auth|pin|proof|sign/i

/** Case and the two alphabets of base64 make no difference; the length stays the same. */
function fold(text: string): string {
  return text.replace(/[A-Z_-]/g, (c) => (c === '-' ? '+' : c === '_' ? '/' : c.toLowerCase()))
}

function replaceMarked(text: string, marks: Uint8Array): string {
  let out = ''
  for (let at = 0; at < text.length; ) {
    if (marks[at] === 0) {
      const end = marks.indexOf(1, at)
      out += text.slice(at, end === -1 ? text.length : end)
      at = end === -1 ? text.length : end
      continue
    }
    const end = marks.indexOf(0, at)
    at = end === -1 ? text.length : end
    // Two parts of one secret, with little between them, are one: the text between them may be a part as well.
    const next = marks.indexOf(1, at)
    if (next !== -1 && next - at <= 2) at = next
    else out += replacement
  }
  return out
}

function isCompactJws(value: string): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(value)
}

function percentDecoded(value: string): string {
  if (!value.includes('%')) return value
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

function percentEncoded(bytes: readonly number[]): string {
  let out = ''
  for (const byte of bytes) {
    const character = String.fromCharCode(byte)
    out += /[A-Za-z0-9_.!~*'()-]/.test(character)
      ? character
      : `%${byte.toString(16).padStart(2, '0').toUpperCase()}`
  }
  return out
}

function utf8Of(text: string): number[] {
  const bytes: number[] = []
  for (const character of text) {
    const code = character.codePointAt(0) as number
    if (code < 0x80) bytes.push(code)
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f))
    else if (code < 0x10000)
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f))
    else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f))
      bytes.push(0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f))
    }
  }
  return bytes
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** Without padding. The core has neither `btoa` nor `Buffer`. */
function toBase64(bytes: readonly number[]): string {
  let out = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfffff
    for (bits += 8; bits >= 6; bits -= 6) out += alphabet[(held >> (bits - 6)) & 0x3f]
  }
  return bits === 0 ? out : out + alphabet[(held << (6 - bits)) & 0x3f]
}

/** Decodes base64 or base64url, where the result is printable text. */
function fromBase64(text: string): string | undefined {
  let out = ''
  let bits = 0
  let held = 0
  for (const character of text) {
    const digit = alphabet.indexOf(character === '-' ? '+' : character === '_' ? '/' : character)
    held = ((held << 6) | digit) & 0xfffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    out += `%${((held >> bits) & 0xff).toString(16).padStart(2, '0')}`
  }
  try {
    const decoded = decodeURIComponent(out)
    return decoded.length >= 3 && !/\p{Cc}/u.test(decoded) ? decoded : undefined
  } catch {
    return undefined
  }
}
