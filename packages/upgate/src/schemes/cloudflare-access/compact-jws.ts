// Malformed UTF-8 is refused, as jose refuses it.
const decoder = new TextDecoder('utf-8', { fatal: true })

/** Longest token that is read, in characters. Access issues 1 to 2 KB, more with OIDC claims. */
export const maxTokenLength = 32_768

/** A token that was read but not verified: until its signature is verified, its contents may only refuse. */
export interface UnverifiedToken {
  readonly kid: string
  readonly payload: Readonly<Record<string, unknown>>
}

/**
 * Reads a compact JWS (RFC 7515 section 7.1), or returns the reason why Access cannot have issued it.
 *
 * Runs before jose verifies, and refuses more than jose does: it accepts one spelling of every octet, one
 * algorithm, and no header field that could choose a key or an algorithm. A second spelling of a valid token
 * (padding, white space, other trailing bits) would verify as well, and one token would fill the cache under
 * many keys.
 */
export function parseToken(token: string): UnverifiedToken | string {
  if (token.length > maxTokenLength) return 'the token is longer than 32 KiB'
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  if (first <= 0 || second < 0 || token.indexOf('.', second + 1) >= 0)
    return 'not a compact JWS of three parts'

  const header = readPart(token.slice(0, first))
  if (header === undefined) return 'the header is not base64url of a JSON object'
  if (header.alg !== 'RS256') return 'the algorithm is not RS256'
  // RFC 7515 section 4.1.11: refuse an extension that is not understood. `jwk`, `jku`, `x5u`, `x5c` are never
  // read.
  if (Object.hasOwn(header, 'crit')) return 'the header demands an extension (crit)'
  if (Object.hasOwn(header, 'b64')) return 'the header asks for an unencoded payload (b64)'
  const typ = header.typ
  if (typ !== undefined && (typeof typ !== 'string' || typ.toUpperCase() !== 'JWT'))
    return 'the type is not JWT'
  const kid = header.kid
  if (typeof kid !== 'string' || kid === '' || kid.length > 256) return 'the key id is missing or malformed'

  const payload = readPart(token.slice(first + 1, second))
  if (payload === undefined) return 'the payload is not base64url of a JSON object'
  if (!isCanonical(token.slice(second + 1))) return 'the signature is not base64url'
  return { kid, payload }
}

/**
 * Whether a text is the only canonical base64url spelling of its octets (RFC 4648 sections 3.5 and 5): the
 * alphabet, no padding, and zeros in the unused bits of the last character.
 */
function isCanonical(part: string): boolean {
  if (!/^[\w-]+$/.test(part)) return false
  const last = part.slice(-1)
  switch (part.length % 4) {
    case 0:
      return true
    case 2:
      return 'AQgw'.includes(last)
    case 3:
      return 'AEIMQUYcgkosw048'.includes(last)
    default:
      return false
  }
}

/** The JSON object that a part encodes. It may only refuse: jose reads the token again when it verifies it. */
function readPart(part: string): Readonly<Record<string, unknown>> | undefined {
  if (!isCanonical(part)) return undefined
  try {
    const value: unknown = JSON.parse(decoder.decode(Buffer.from(part, 'base64url')))
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return value as Readonly<Record<string, unknown>>
  } catch {
    return undefined
  }
}
