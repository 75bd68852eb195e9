import type { Revocation } from '../../core/ports/revocations.ts'
import {
  type AccountRecord,
  type AccountStore,
  type RevocationDraft,
  type RevocationLog,
  type SessionRecord,
  type SessionStore,
  type Store,
  StoreUnavailable,
  type TokenStore,
  type Touch,
} from '../../core/ports/stores.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'
import { AccountSessions } from './account-sessions.ts'
import { RecordsInOrder } from './creation-order.ts'
import { memoryAcquaintances } from './memory-acquaintances.ts'
import { memoryPairings, memoryTickets } from './memory-pairings.ts'

/** Entries of the log that are kept. One process writes the log and reads it at once. */
const logLength = 10_000

interface Shared {
  /** Rejects after the store was closed. The operation is one synchronous step, and so atomic. */
  run<T>(operation: () => T): Promise<T>
  append(draft: RevocationDraft): Revocation
}

/**
 * Creates a store in the memory of this process: for tests, and for tools that keep their records elsewhere.
 *
 * Its records end with the process.
 *
 * @example
 * const services = createServices({ store: memoryStore() })
 */
export function memoryStore(): Store {
  let closed = false
  let head = 0
  const log: Revocation[] = []
  const shared: Shared = {
    run: async (operation) => {
      if (closed) throw new StoreUnavailable('store_closed', 'The store was closed.')
      return operation()
    },
    append(draft) {
      head += 1
      const revocation: Revocation = Object.freeze({ sequence: head, ...draft })
      log.push(revocation)
      if (log.length > 2 * logLength) log.splice(0, logLength)
      return revocation
    },
  }
  const revocations: RevocationLog = {
    append: (drafts) => shared.run(() => drafts.map((draft) => shared.append(draft))),
    head: () => shared.run(() => head),
    since: (sequence, limit) =>
      shared.run(() => {
        const start = Math.max(0, sequence + 1 - (log[0]?.sequence ?? 1))
        return log.slice(start, start + limit)
      }),
  }
  const deviceRecords = new RecordsInOrder<TokenRecord>()
  const devices = memoryTokens(shared, deviceRecords)
  const secrets = new Map<string, string>()
  return {
    accounts: memoryAccounts(shared),
    sessions: memorySessions(shared),
    keys: memoryTokens(shared),
    devices,
    revocations,
    pairings: memoryPairings(shared.run, devices, (device) => replaceToken(deviceRecords, device)),
    tickets: memoryTickets(shared.run),
    acquaintances: memoryAcquaintances(shared.run),
    secrets: {
      keep: (name, value) =>
        shared.run(() => {
          const kept = secrets.get(name) ?? value
          secrets.set(name, kept)
          return kept
        }),
    },
    close: async () => {
      closed = true
    },
  }
}

function memoryAccounts({ run, append }: Shared): AccountStore {
  const records = new RecordsInOrder<AccountRecord>()
  const ids = new Map<string, string>()
  const byEmail = (email: string) => records.get(ids.get(email) ?? '')
  const add = (record: AccountRecord): boolean => {
    if (records.has(record.id) || ids.has(record.email)) return false
    records.set(record.id, frozen(record))
    ids.set(record.email, record.id)
    return true
  }
  return {
    any: () => run(() => records.size > 0),
    get: (id) => run(() => records.get(id)),
    byEmail: (email) => run(() => byEmail(email)),
    list: () => run(() => [...records.values()]),
    page: (request) => run(() => records.page(request, () => true)),
    add: (record) => run(() => add(record)),
    addFirst: (record) => run(() => records.size === 0 && add(record)),
    replace: (record, drafts) =>
      run(() => {
        const stored = records.get(record.id)
        if (stored?.version !== record.version - 1) return undefined
        if ((ids.get(record.email) ?? record.id) !== record.id) return undefined
        records.set(record.id, frozen(record))
        ids.delete(stored.email)
        ids.set(record.email, record.id)
        return drafts.map(append)
      }),
  }
}

function memorySessions({ run, append }: Shared): SessionStore {
  const records = new AccountSessions()
  const newestFirst = (accountId: string): SessionRecord[] =>
    [...records.idsOf(accountId)].reverse().flatMap((id) => records.get(id) ?? [])
  return {
    get: (id) => run(() => records.get(id)),
    list: (accountId) => run(() => newestFirst(accountId)),
    page: (accountId, request) =>
      run(() => records.page(request, (record) => record.accountId === accountId, true)),
    add: (record, atMost) =>
      run(() => {
        if (records.has(record.id)) return undefined
        records.set(record.id, Object.freeze({ ...record }))
        const ids = records.idsOf(record.accountId)
        const surplus = ids.size - atMost
        const oldest: string[] = []
        for (const id of ids) {
          if (oldest.length >= surplus) break
          oldest.push(id)
        }
        return oldest.reverse().map((id) => {
          records.delete(id)
          return append({ at: record.createdAt, selector: { sessionId: id }, reason: 'revoked' })
        })
      }),
    rotate: (id, from, to, draft) =>
      run(() => {
        const stored = records.get(id)
        if (stored?.digest !== from) return undefined
        records.set(id, Object.freeze({ ...stored, ...to }))
        return append(draft)
      }),
    remove: (id, draft) => run(() => (records.delete(id) ? append(draft) : undefined)),
    removeOf: (accountId, generation) =>
      run(() => {
        const over = newestFirst(accountId).filter((record) => record.generation < generation)
        return over.filter(({ id }) => records.delete(id)).length
      }),
    purge: (expiredBy, lastSeenBefore, atMost) =>
      run(() => {
        let removed = 0
        for (const { id, expiresAt, lastSeenAt } of records.values()) {
          if (removed >= atMost) break
          const isOver = expiresAt <= expiredBy || lastSeenAt < lastSeenBefore
          if (isOver && records.delete(id)) removed += 1
        }
        return removed
      }),
    touch: (touches) =>
      run(() =>
        forTouched(records, touches, (record, at) => {
          if (at > record.lastSeenAt) records.set(record.id, Object.freeze({ ...record, lastSeenAt: at }))
        }),
      ),
  }
}

function memoryTokens({ run, append }: Shared, records = new RecordsInOrder<TokenRecord>()): TokenStore {
  const add = (record: TokenRecord): boolean => {
    if (records.has(record.id)) return false
    records.set(record.id, frozen(record))
    return true
  }
  return {
    get: (id) => run(() => records.get(id)),
    list: () => run(() => [...records.values()]),
    page: ({ revoked, ...request }) =>
      run(() => records.page(request, (record) => revoked || record.revokedAt === undefined)),
    add: (record) => run(() => add(record)),
    addAll: (all) => run(() => all.filter(add).length),
    replace: (record, drafts) =>
      run(() => {
        return replaceToken(records, record) ? drafts.map(append) : undefined
      }),
    touch: (touches) =>
      run(() =>
        forTouched(records, touches, (record, at) => {
          if (at > (record.lastUsedAt ?? 0)) records.set(record.id, frozen({ ...record, lastUsedAt: at }))
        }),
      ),
  }
}

function replaceToken(records: RecordsInOrder<TokenRecord>, record: TokenRecord): boolean {
  const stored = records.get(record.id)
  if (stored?.version !== record.version - 1) return false
  records.set(record.id, frozen({ ...record, lastUsedAt: stored.lastUsedAt }))
  return true
}

function forTouched<R>(
  records: ReadonlyMap<string, R>,
  touches: readonly Touch[],
  apply: (record: R, at: number) => void,
): void {
  for (const { id, at } of touches) {
    const record = records.get(id)
    if (record !== undefined) apply(record, at)
  }
}

/** Copies and freezes a record: records are handed out by reference, and callers must not change them. */
function frozen<R extends AccountRecord | TokenRecord>(record: R): R {
  const scopes = Object.freeze([...record.scopes])
  const roles = Object.freeze([...record.roles])
  return Object.freeze<R>({ ...record, scopes, roles })
}
