import type { AccountRecord, RevocationDraft, SessionRecord } from '../../core/ports/stores.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'

/** Time of all records of the contracts. */
export const at: number = 1_767_225_600_000

export function account(id: string, changes: Partial<AccountRecord> = {}): AccountRecord {
  const email = `${id}@example.com`
  return { id, version: 1, email, scopes: [], roles: [], createdAt: at, sessionGeneration: 1, ...changes }
}

export function session(id: string, changes: Partial<SessionRecord> = {}): SessionRecord {
  const times = { createdAt: at, lastSeenAt: at, expiresAt: at + 1000 }
  return { id, digest: `digest of ${id}`, accountId: 'a', generation: 1, ...times, ...changes }
}

export function token(id: string, changes: Partial<TokenRecord> = {}): TokenRecord {
  const digest = `digest of ${id}`
  return { id, version: 1, digest, name: id, scopes: ['read'], roles: [], createdAt: at, ...changes }
}

export function draft(credentialId: string): RevocationDraft {
  return { at, selector: { credentialId }, reason: 'revoked' }
}

export function range(length: number): number[] {
  return Array.from({ length }, (_, n) => n)
}

export function ids<R, K extends keyof R>(records: readonly R[], key: K = 'id' as K): R[K][] {
  return records.map((record) => record[key])
}

/** Without the fields that are there and undefined: absent is the same. */
export function defined(record: object | undefined): object | undefined {
  return record && Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}
