/** An API key or a device token, with all that it grants. */
export interface TokenRecord {
  /** Public: fit for logs and pages. Of a device also its node id. */
  readonly id: string
  /** Counts the writes, from 1: what compare-and-set compares. */
  readonly version: number
  /** SHA-256 of the token, base64url. */
  readonly digest: string
  /**
   * SHA-256 of the token that a device got in exchange for the one that the last rotation replaced, base64url. It
   * counts like the token of `digest`. Absent = none was handed over since the last rotation.
   */
  readonly handedDigest?: string | undefined
  /** SHA-256 of the token before the last rotation, base64url. */
  readonly previousDigest?: string | undefined
  /** The `handedDigest` from before the last rotation. */
  readonly previousHandedDigest?: string | undefined
  /** Milliseconds since the epoch until which the tokens before the last rotation count as well. */
  readonly previousUntil?: number | undefined
  /** For people; 1 to 100 characters. */
  readonly name: string
  /** Exact scope names that it grants. */
  readonly scopes: readonly string[]
  /** Roles that it grants; of a device exactly one. */
  readonly roles: readonly string[]
  /** Account the credential acts for; absent = it acts for itself. */
  readonly accountId?: string | undefined
  /** The creating principal, for the audit. */
  readonly createdBy?: string | undefined
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Milliseconds since the epoch; absent = it does not expire. */
  readonly expiresAt?: number | undefined
  /** Coalesced: may be behind by the touch interval. */
  readonly lastUsedAt?: number | undefined
  /** Of a device: hex SHA-256 of its public key. Absent = it has none, or was paired before this field was kept. */
  readonly keyId?: string | undefined
  /**
   * The `digest` of the token that the key was bound to by its first use: the key counts only while this is the token.
   * Absent = the key was paired, and counts for as long as the device does.
   */
  readonly keyToken?: string | undefined
  /** What the device said about itself when it was paired: a later statement that differs is asked about. */
  readonly stated?: string | undefined
  /** Milliseconds since the epoch; absent = it is not revoked. */
  readonly revokedAt?: number | undefined
}

/** The key that counts for a device now; `undefined` if it has none, or its token was rotated since it was bound. */
export function keyIdOf({ keyId, keyToken, digest }: TokenRecord): string | undefined {
  return keyToken === undefined || keyToken === digest ? keyId : undefined
}
