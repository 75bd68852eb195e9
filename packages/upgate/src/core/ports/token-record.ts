/** An API key or a device token, with all that it grants. */
export interface TokenRecord {
  /** Public: fit for logs and pages. Of a device also its node id. */
  readonly id: string
  /** Counts the writes, from 1: what compare-and-set compares. */
  readonly version: number
  /** SHA-256 of the token, base64url. */
  readonly digest: string
  /** SHA-256 of the token before the last rotation, base64url. */
  readonly previousDigest?: string | undefined
  /** Until when that token counts, too. */
  readonly previousUntil?: number | undefined
  readonly name: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** Account the credential acts for; absent = it acts for itself. */
  readonly accountId?: string | undefined
  /** The creating principal, for the audit. */
  readonly createdBy?: string | undefined
  readonly createdAt: number
  readonly expiresAt?: number | undefined
  /** Coalesced: may be behind by the touch interval. */
  readonly lastUsedAt?: number | undefined
  readonly revokedAt?: number | undefined
}
