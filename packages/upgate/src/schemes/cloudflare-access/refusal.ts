import type { RejectionCode, Verification } from '../../core/contract/credential.ts'
import type { AccessPrincipal } from './types.ts'

/** Any answer about a token except "authenticated". */
export type Refusal = Exclude<Verification<AccessPrincipal>, { outcome: 'authenticated' }>

export function rejected(reason: string, code: RejectionCode = 'invalid_credential'): Refusal {
  return { outcome: 'rejected', code, reason }
}

/**
 * Creates the answer about a token that is not valid yet.
 *
 * @param claims - of the token
 * @param now - milliseconds since the epoch by this clock
 * @param behind - milliseconds by which this clock is behind the issuer's, or `NaN`
 */
export function notYet(claims: Readonly<Record<string, unknown>>, now: number, behind: number): Refusal {
  const starts = Math.max(...[claims.nbf, claims.iat].map((time) => (typeof time === 'number' ? time : 0)))
  const early = Math.ceil(starts - now / 1_000)
  // The Date has whole seconds, and the answer was on its way for a while.
  const clocks = Number.isNaN(behind)
    ? 'compare the clock of this server'
    : Math.abs(behind) < 5_000
      ? 'by the Date of the answer with the signing keys, the clock of this server was right then'
      : `by the Date of the answer with the signing keys, the clock of this server is ${Math.round(Math.abs(behind) / 1_000)} s ${behind > 0 ? 'behind' : 'ahead'}`
  return {
    outcome: 'rejected',
    code: 'invalid_credential',
    reason: `the token is not valid yet (nbf, iat): it begins ${early} s later than the clock of this server; ${clocks}`,
    clocksDiffer: true,
  }
}

/**
 * Creates the answer "cannot answer".
 *
 * @param retryAfter - seconds
 */
export function unavailable(reason: string, retryAfter?: number): Refusal {
  return { outcome: 'unavailable', reason, retryAfter }
}
