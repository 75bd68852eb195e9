import type { AccessIdentity } from './types.ts'

/** What tokens must say. */
export interface Expectations {
  readonly issuer: string
  readonly audience: ReadonlySet<string>
  /** Milliseconds. */
  readonly clockTolerance: number
}

type Claims = Readonly<Record<string, unknown>>

/**
 * Says what is wrong with claims, whatever the time; `undefined` = nothing.
 *
 * Runs before the signature is verified, so that tokens of other teams and applications cost neither a signature
 * nor a fetch, and again after it, on the claims that jose returned.
 */
export function faultOf(claims: Claims, expected: Expectations): string | undefined {
  if (claims.iss !== expected.issuer) return 'iss is not the configured issuer'
  // Sessions of the team domain (`org`), redirect hints (`meta`) and discovery (`match`) bear valid signatures, too.
  if (claims.type !== 'app') return 'type is not app'
  if (!namesUs(claims.aud, expected.audience)) return 'aud does not name a configured application'
  if (!isSeconds(claims.exp)) return 'exp is missing or not a whole number of seconds'
  if (claims.nbf !== undefined && !isSeconds(claims.nbf)) return 'nbf is not a whole number of seconds'
  if (claims.iat !== undefined && !isSeconds(claims.iat)) return 'iat is not a whole number of seconds'
  return undefined
}

/** Whether a token has expired; to be called with claims that {@link faultOf} passed. */
export function hasExpired(claims: Claims, expected: Expectations, now: number): boolean {
  return now >= (claims.exp as number) * 1_000 + expected.clockTolerance
}

/** Whether a token says that it was issued later than now, which jose lets pass; as {@link hasExpired}. */
export function isFromFuture(claims: Claims, expected: Expectations, now: number): boolean {
  const iat = claims.iat as number | undefined
  return iat !== undefined && Math.floor(now / 1_000) * 1_000 + expected.clockTolerance < iat * 1_000
}

/**
 * Reads who the token is about, or says why it is about nobody.
 *
 * A person has `email` and `sub`, a service token `common_name` and an empty `sub`; a token that is both or neither
 * is of no kind known, and guessing would let one pass for the other.
 */
export function identityOf(claims: Claims): AccessIdentity | string {
  const { email, common_name: commonName, sub } = claims
  const hasEmail = email !== undefined && email !== ''
  const hasName = commonName !== undefined && commonName !== ''
  if (sub !== undefined && typeof sub !== 'string') return 'sub is not a string'
  if (hasEmail && hasName) return 'both email and common_name: neither a person nor a service token'
  if (hasEmail) {
    if (typeof email !== 'string') return 'email is not a string'
    if (sub === undefined || sub === '') return 'email without sub'
    return Object.freeze({ kind: 'user', email, subject: sub, claims: deepFreeze(claims) })
  }
  if (hasName) {
    if (typeof commonName !== 'string') return 'common_name is not a string'
    return Object.freeze({ kind: 'service', commonName, subject: sub ?? '', claims: deepFreeze(claims) })
  }
  return 'neither email nor common_name'
}

/** What tells two identities apart, for tokens that are only compared. */
export function subjectKey(claims: Claims): string {
  return JSON.stringify([claims.sub ?? '', claims.common_name ?? '', lowerAscii(claims.email ?? '')])
}

/**
 * Lower-cases the letters A to Z only.
 *
 * `toLowerCase` maps characters such as U+212A (Kelvin sign) to ASCII letters: two addresses would become one.
 */
export function lowerAscii(value: unknown): string {
  return String(value).replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

function namesUs(aud: unknown, ours: ReadonlySet<string>): boolean {
  // A string is compared as a whole: `includes` on it would find our tag inside a longer one.
  if (typeof aud === 'string') return ours.has(aud)
  if (!Array.isArray(aud)) return false
  let found = false
  for (const tag of aud) {
    if (typeof tag !== 'string') return false
    if (ours.has(tag)) found = true
  }
  return found
}

function isSeconds(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < 8.64e12
}

/** Freezes a value of JSON and all within: it is shared between requests by the cache. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
