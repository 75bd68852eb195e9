import type { AccessIdentity } from './types.ts'

/** Claims that tokens must have. */
export interface Expectations {
  readonly issuer: string
  readonly audience: ReadonlySet<string>
  /** Milliseconds. */
  readonly clockTolerance: number
}

type Claims = Readonly<Record<string, unknown>>

/**
 * Finds a fault in the claims, apart from their times; `undefined` = none.
 *
 * Runs before the signature is verified, so that tokens of other teams and applications cost neither a
 * signature nor a fetch. Runs again after it, on the claims that jose returned.
 */
export function faultOf(claims: Claims, expected: Expectations): string | undefined {
  if (claims.iss !== expected.issuer) return 'iss is not the configured issuer'
  // Sessions of the team domain (`org`), redirect hints (`meta`) and discovery (`match`) have valid
  // signatures too.
  if (claims.type !== 'app') return 'type is not app'
  if (!namesUs(claims.aud, expected.audience)) return 'aud does not name a configured application'
  if (!isSeconds(claims.exp)) return 'exp is missing or not a whole number of seconds'
  if (claims.nbf !== undefined && !isSeconds(claims.nbf)) return 'nbf is not a whole number of seconds'
  if (claims.iat !== undefined && !isSeconds(claims.iat)) return 'iat is not a whole number of seconds'
  return undefined
}

/** Whether a token has expired. Call it with claims that {@link faultOf} passed. */
export function hasExpired(claims: Claims, expected: Expectations, now: number): boolean {
  return now >= (claims.exp as number) * 1_000 + expected.clockTolerance
}

/** Whether a token claims to be issued in the future, which jose accepts. Call it as {@link hasExpired}. */
export function isFromFuture(claims: Claims, expected: Expectations, now: number): boolean {
  const iat = claims.iat as number | undefined
  return iat !== undefined && Math.floor(now / 1_000) * 1_000 + expected.clockTolerance < iat * 1_000
}

/**
 * Reads the identity in a token, or returns the reason why it has none.
 *
 * A person has `email` and `sub`, a service token has `common_name` and an empty `sub`. A token with both or
 * neither is of no known kind, and a guess could confuse a service with a person.
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

/** A key that distinguishes two identities, for tokens that are only compared. */
export function subjectKey(claims: Claims): string {
  return JSON.stringify([claims.sub ?? '', claims.common_name ?? '', lowerAscii(claims.email ?? '')])
}

/**
 * Lower-cases the letters A to Z only.
 *
 * `toLowerCase` maps characters such as U+212A (Kelvin sign) to ASCII letters, which would make two addresses
 * equal.
 */
export function lowerAscii(value: unknown): string {
  return String(value).replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** The AUD tags of a token that are ours, frozen. Call it with an `aud` that {@link faultOf} passed. */
export function audiencesOf(aud: unknown, ours: ReadonlySet<string>): readonly string[] {
  const tags: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  return Object.freeze(tags.filter((tag): tag is string => typeof tag === 'string' && ours.has(tag)))
}

function namesUs(aud: unknown, ours: ReadonlySet<string>): boolean {
  // Compare a string as a whole: `includes` would find our tag inside a longer one.
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

/** Freezes a JSON value and everything inside: the cache shares it between requests. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
