import type { CryptoKey, JWTVerifyOptions } from 'jose'
import type { AccessClaims } from './types.ts'

/** Result of jose for a token: its claims, or the reason why they do not count. */
export type SignedClaims =
  | { readonly outcome: 'signed'; readonly claims: AccessClaims }
  | { readonly outcome: 'expired' | 'early' }
  | { readonly outcome: 'refused'; readonly reason: string }

/** The standard claims that tokens must have. */
export interface StandardClaims {
  readonly issuer: string
  readonly audience: ReadonlySet<string>
  /** Milliseconds. */
  readonly clockTolerance: number
}

/**
 * Creates the check that jose makes: signature (RS256, RFC 7518 section 3.3), `iss`, `aud`, `exp` and `nbf`.
 *
 * WebCrypto verifies on another thread, so every answer is a promise. The promise rejects if the check itself
 * failed, which says nothing about the token.
 */
export function createSignatureCheck(
  expected: StandardClaims,
): (token: string, key: CryptoKey, now: number) => Promise<SignedClaims> {
  const options: JWTVerifyOptions = {
    algorithms: ['RS256'],
    issuer: expected.issuer,
    audience: [...expected.audience],
    clockTolerance: expected.clockTolerance / 1_000,
    requiredClaims: ['exp'],
  }
  // Loaded with the first scheme and not with the entry: an import alone verifies nothing.
  const loading = import('jose/jwt/verify')
  // If jose cannot be loaded, each check rejects.
  loading.catch(() => {})
  return async (token, key, now) => {
    const { jwtVerify } = await loading
    try {
      const { payload } = await jwtVerify(token, key, { ...options, currentDate: new Date(now) })
      return { outcome: 'signed', claims: payload }
    } catch (error) {
      return verdictOf(error)
    }
  }
}

/**
 * Separates a verdict on the token from a failure of the check. By code, because two copies of jose may be
 * loaded.
 */
function verdictOf(error: unknown): SignedClaims {
  const { code, claim, cause } = error as { code?: unknown; claim?: unknown; cause?: unknown }
  if (code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED') {
    // With a cause, WebCrypto threw before it checked the signature.
    if (cause !== undefined) throw error
    return { outcome: 'refused', reason: 'the signature does not match' }
  }
  if (code === 'ERR_JWT_EXPIRED') return { outcome: 'expired' }
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') {
    return claim === 'nbf'
      ? { outcome: 'early' }
      : { outcome: 'refused', reason: `the claim ${String(claim)} does not count` }
  }
  if (typeof code === 'string' && /^ERR_J(?:OSE|WS|WT)_/.test(code)) {
    return { outcome: 'refused', reason: `not a JWT signed with RS256 (${code})` }
  }
  throw error
}
