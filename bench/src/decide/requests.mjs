import { commonHeaders, host } from '../headers.mjs'

/** @typedef {import('upgate').AuthRequest} AuthRequest */

/** @type {Map<string, Buffer>} */
const bytesOf = new Map()

/**
 * A string as the HTTP parser creates it: with its own memory and without a cached hash.
 *
 * @param {string} text
 */
function fresh(text) {
  let bytes = bytesOf.get(text)
  if (bytes === undefined) {
    bytes = Buffer.from(text, 'latin1')
    bytesOf.set(text, bytes)
  }
  return bytes.toString('latin1')
}

/** Header names as Node's table of known names has them. @type {Map<string, string>} */
const lowerNames = new Map()

/**
 * Creates a new request, as an adapter would pass it.
 *
 * @param {string} target
 * @param {readonly (readonly [name: string, value: string])[]} [extra] Headers besides the usual eight
 * @returns {AuthRequest}
 */
export function freshRequest(target, extra = []) {
  /** @type {Record<string, string>} */
  const headers = {}
  /** @type {string[]} */
  const rawHeaders = []
  for (const [name, value] of [/** @type {const} */ (['Host', host]), ...commonHeaders, ...extra]) {
    let lower = lowerNames.get(name)
    if (lower === undefined) {
      lower = name.toLowerCase()
      lowerNames.set(name, lower)
    }
    const text = fresh(value)
    headers[lower] = text
    rawHeaders.push(fresh(name), text)
  }
  return {
    kind: 'http',
    method: 'GET',
    target: fresh(target),
    rewrittenTarget: undefined,
    headers,
    rawHeaders,
    peerAddress: '127.0.0.1',
    encrypted: true,
    native: undefined,
  }
}
