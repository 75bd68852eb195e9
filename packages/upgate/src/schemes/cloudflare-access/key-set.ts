import type { CryptoKey, importJWK as importWithJose } from 'jose'

const maxKeys = 64

/** A signing key, imported once. */
export interface SigningKey {
  readonly kid: string
  readonly key: CryptoKey
  /** Modulus and exponent, to recognise the same key in a later document. */
  readonly material: string
}

/** Keys by id. A `Map`, because an id is data: `__proto__` is a valid id. */
export type KeySet = ReadonlyMap<string, SigningKey>

/**
 * Reads a JWKS document (RFC 7517 section 5), or returns the reason why it cannot be used.
 *
 * Entries that are no RS256 signing keys are skipped. Two different keys under one id make the whole document
 * invalid, because keys are selected by id alone. Keys already imported are taken over from `previous`.
 */
export async function readKeySet(document: unknown, previous: KeySet | undefined): Promise<KeySet | string> {
  const list = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(list)) return 'the document has no `keys`'
  if (list.length > maxKeys) return `the document has more than ${maxKeys} keys`
  const jose = await import('jose/key/import').catch(() => undefined)
  if (jose === undefined) return 'the package jose cannot be loaded'
  const keys = new Map<string, SigningKey>()
  for (const jwk of list) {
    const candidate = await importKey(jwk, previous, jose.importJWK)
    if (candidate === undefined) continue
    const twin = keys.get(candidate.kid)
    if (twin !== undefined && twin.material !== candidate.material)
      return 'two keys of the document share an id'
    keys.set(candidate.kid, candidate)
  }
  return keys.size === 0 ? 'the document holds no usable RS256 key' : keys
}

async function importKey(
  jwk: unknown,
  previous: KeySet | undefined,
  importJWK: typeof importWithJose,
): Promise<SigningKey | undefined> {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const { kty, kid, n, e, use, alg, key_ops: operations } = jwk as Record<string, unknown>
  if (kty !== 'RSA' || typeof kid !== 'string' || kid === '') return undefined
  if (typeof n !== 'string' || typeof e !== 'string') return undefined
  if ((use !== undefined && use !== 'sig') || (alg !== undefined && alg !== 'RS256')) return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return undefined
  const material = `${n}.${e}`
  const known = previous?.get(kid)
  if (known?.material === material) return known
  try {
    // Import these members alone: if a private key was published by mistake, its private half is not read.
    const key = await importJWK({ kty, n, e }, 'RS256')
    return key instanceof Uint8Array || isWeak(key) ? undefined : { kid, key, material }
  } catch {
    return undefined
  }
}

/**
 * RFC 7518 section 3.3 demands 2048 bits. With the exponent 1 every attacker could sign, and an even exponent
 * is invalid.
 */
function isWeak({ algorithm }: CryptoKey): boolean {
  const { modulusLength = 0, publicExponent = [] } = algorithm as {
    readonly modulusLength?: number
    readonly publicExponent?: Iterable<number>
  }
  const exponent = [...publicExponent].reduce((value, octet) => value * 256 + octet, 0)
  return modulusLength < 2_048 || exponent < 3 || (([...publicExponent].at(-1) ?? 0) & 1) === 0
}

/** Whether a key of the old set is missing or different in the new one. */
export function losesKey(before: KeySet, after: KeySet): boolean {
  for (const [kid, old] of before) if (after.get(kid) !== old) return true
  return false
}
