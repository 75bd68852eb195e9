import type { HandshakeHeader } from '../contract/handshake.ts'
import { isLate, wrongReturn } from '../options/check-options.ts'

/** A field name: a token (RFC 9110 section 5.6.2). */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** A field value in ASCII (RFC 9110 section 5.5): a line break would begin another line. */
const value = /^[\t\x20-\x7e]*$/
/** Lines that would end with a proxy, or that say how the 101 is framed: those of the WebSocket server alone. */
const ofTheServer: ReadonlySet<string> = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** Lines, and characters in all of them: a client takes a head of 16 KiB. */
const maxLines = 32
const maxLength = 8_192

/**
 * Checks the header lines that a handshake adds to a 101.
 *
 * @throws TypeError that names the line, never its value
 */
export function headerLines(where: string, lines: unknown): readonly HandshakeHeader[] {
  if (isLate(lines) || !Array.isArray(lines)) throw wrongReturn(where, 'a list of [name, value]', lines)
  if (lines.length > maxLines) throw new TypeError(`${where} returned more than ${maxLines} header lines.`)
  let length = 0
  for (const line of lines as readonly unknown[]) {
    if (!Array.isArray(line) || line.length !== 2 || !line.every((part) => typeof part === 'string'))
      throw wrongReturn(where, 'a list of [name, value], both strings', line)
    const [name, text] = line as [string, string]
    if (name.length > 256 || !token.test(name)) throw new TypeError(`${where} returned no header name.`)
    const problem = problemOf(name.toLowerCase())
    if (problem !== undefined) throw new TypeError(`${where} returned ${JSON.stringify(name)}: ${problem}.`)
    if (!value.test(text)) {
      throw new TypeError(
        `${where} returned ${JSON.stringify(name)} with a value that is no header value: a line break or another control character, or a character beyond ASCII.`,
      )
    }
    length += name.length + text.length
  }
  if (length > maxLength) throw new TypeError(`${where} returned more than ${maxLength} characters.`)
  return lines as readonly HandshakeHeader[]
}

function problemOf(name: string): string | undefined {
  if (name === 'set-cookie' || name === 'set-cookie2')
    return 'the socket is not accepted yet, so it gets no cookie; set cookies over HTTP'
  if (name.startsWith('sec-websocket-')) return 'the WebSocket server negotiates it'
  if (ofTheServer.has(name)) return 'it belongs to the connection, or describes a body'
  return undefined
}
