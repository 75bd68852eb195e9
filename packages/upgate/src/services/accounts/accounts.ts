import type { Clock } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import type { RevocationReason, RevocationSelector } from '../../core/ports/revocations.ts'
import {
  type AccountRecord,
  type AccountStore,
  type RevocationDraft,
  type SessionStore,
  StoreUnavailable,
} from '../../core/ports/stores.ts'
import type { PasswordHasher } from '../../crypto/password.ts'
import { createId } from '../../crypto/tokens.ts'
import { pageRequest, shownPage } from '../pages.ts'
import { checkNames, narrows } from '../record-input.ts'
import type { OwnRevocations } from '../revocations/revocations.ts'
import { normaliseEmail, normalisePassword, passwordProblem } from './account-input.ts'
import type { HashPool, Party } from './hash-pool.ts'
import type { Account, AccountResult, Accounts, NewAccount } from './types.ts'

/** Concurrent writers of one record that may win before the store counts as busy. */
export const maxAttempts = 32

type Refused = Extract<AccountResult, { outcome: 'refused' }>
type Change = Partial<Omit<AccountRecord, 'id' | 'version' | 'email'>>

const unknownAccount: Refused = {
  outcome: 'refused',
  code: 'unknown_account',
  reason: 'There is no such account.',
}
const crowded: Refused = {
  outcome: 'refused',
  code: 'over_capacity',
  reason: 'Too many passwords are being hashed. Try again in a second.',
}

export interface AccountsOptions {
  readonly accounts: AccountStore
  readonly sessions: SessionStore
  readonly clock: Clock
  readonly logger: Logger
  readonly revocations: OwnRevocations
  readonly hasher: PasswordHasher
  readonly pool: HashPool
  readonly randomBytes: (size: number) => Uint8Array
  readonly login: Accounts['login']
  /** Called when a record gains rights: forgets remembered verifications and ends nothing. */
  forget(selector: RevocationSelector): void
}

/** The accounts service as the sessions service uses it. */
export interface OwnAccounts extends Accounts {
  /** Ends all sessions of an account. */
  endSessions(id: string, reason: RevocationReason): Promise<void>
}

export function createAccounts(options: AccountsOptions): OwnAccounts {
  const { accounts, sessions, clock, logger, revocations, hasher, pool, randomBytes } = options

  /**
   * Returns a generation that is higher than every one before, and unused even after an old copy of the
   * database was restored. Otherwise sessions kept elsewhere, for example in Redis, would count again once
   * the account reached their generation a second time. In units of ten seconds, so that it fits into the 32
   * bits of its column.
   */
  function nextGeneration({ sessionGeneration }: AccountRecord): number {
    return Math.max(sessionGeneration + 1, Math.floor(clock.now() / 10_000))
  }

  async function prepare(account: NewAccount): Promise<AccountRecord | Refused> {
    const scopes = checkNames('scopes', account.scopes ?? [])
    const roles = checkNames('roles', account.roles ?? [])
    const email = normaliseEmail(account.email)
    if (email === undefined) {
      return { outcome: 'refused', code: 'invalid_email', reason: 'That is not an email address.' }
    }
    const passwordHash =
      account.password === undefined ? undefined : await hashOf(account.password, 'a new account')
    if (typeof passwordHash === 'object') return passwordHash
    const id = createId(randomBytes)
    const createdAt = clock.now()
    return { id, version: 1, email, passwordHash, scopes, roles, createdAt, sessionGeneration: 1 }
  }

  async function hashOf(password: string, of: string): Promise<string | Refused> {
    const text = normalisePassword(password)
    const problem = passwordProblem(text)
    if (problem !== undefined || text === undefined) return { outcome: 'refused', ...problem } as Refused
    // The caller was authorized to set a password, so it counts as known.
    const party: Party = { known: true, shares: [{ key: `setting ${of}`, factor: 1 }] }
    return (await pool.run(party, () => hasher.hash(text))) ?? crowded
  }

  /** Reads, changes, compares and sets until no other writer was faster. */
  async function change(
    id: string,
    apply: (record: AccountRecord) => { change: Change; ended?: readonly Omit<RevocationDraft, 'at'>[] },
  ): Promise<AccountRecord | undefined> {
    for (let i = 0; i < maxAttempts; i++) {
      const record = await accounts.get(id)
      if (record === undefined) return undefined
      const { change, ended = [] } = apply(record)
      const next: AccountRecord = { ...record, ...change, version: record.version + 1 }
      // A change that ends all sessions also ends the device cookies.
      const forgotten = next.sessionGeneration !== record.sessionGeneration && { deviceCookies: [] }
      const at = clock.now()
      const entries = await accounts.replace(
        { ...next, ...forgotten },
        ended.map((draft) => ({ at, ...draft })),
      )
      if (entries === undefined) continue
      const announced = revocations.publish(entries)
      options.forget({ principalId: id, kind: 'user' })
      await announced
      return next
    }
    throw new StoreUnavailable('store_busy', 'Others kept changing the account.')
  }

  async function changed(
    id: string,
    apply: Parameters<typeof change>[1],
  ): Promise<Extract<AccountResult, { outcome: 'done' }> | Refused> {
    const record = await change(id, apply)
    return record === undefined ? unknownAccount : { outcome: 'done', account: shown(record) }
  }

  /** Removes records of sessions that the new generation ended already. A failure loses nothing. */
  async function tidy(id: string): Promise<void> {
    try {
      const record = await accounts.get(id)
      if (record !== undefined) await sessions.removeOf(id, record.sessionGeneration)
    } catch (error) {
      logger.warn('Records of ended sessions could not be removed.', { error: String(error) })
    }
  }

  return {
    async create(account) {
      const record = await prepare(account)
      if ('outcome' in record) return record
      if (await accounts.add(record)) return { outcome: 'done', account: shown(record) }
      return { outcome: 'refused', code: 'email_taken', reason: 'There is an account with this address.' }
    },
    async createFirst(account) {
      const exist: Refused = { outcome: 'refused', code: 'accounts_exist', reason: 'It is set up already.' }
      if (await accounts.any()) return exist
      const record = await prepare(account)
      if ('outcome' in record) return record
      return (await accounts.addFirst(record)) ? { outcome: 'done', account: shown(record) } : exist
    },
    any: () => accounts.any(),
    async get(id) {
      const record = await accounts.get(id)
      return record && shown(record)
    },
    async byEmail(email) {
      const normalised = normaliseEmail(email)
      const record = normalised === undefined ? undefined : await accounts.byEmail(normalised)
      return record && shown(record)
    },
    list: async () => (await accounts.list()).map(shown),
    page: async (options = {}) =>
      shownPage(await accounts.page(pageRequest('accounts.page', options)), shown),
    async setPassword(id, password) {
      const passwordHash = await hashOf(password, id)
      if (typeof passwordHash === 'object') return passwordHash
      const result = await changed(id, (record) => ({
        change: { passwordHash, sessionGeneration: nextGeneration(record) },
        ended: (['session', 'password'] as const).map((scheme) => ({
          selector: { principalId: id, kind: 'user', scheme },
          reason: 'rotated',
        })),
      }))
      if (result.outcome === 'done') await tidy(id)
      return result
    },
    async setScopes(id, scopes, roles) {
      const newScopes = checkNames('scopes', scopes)
      const newRoles = roles === undefined ? undefined : checkNames('roles', roles)
      return changed(id, (record) => {
        const change = { scopes: newScopes, roles: newRoles ?? record.roles }
        const less = narrows(record.scopes, change.scopes) || narrows(record.roles, change.roles)
        if (!less) return { change }
        return { change, ended: [{ selector: { principalId: id, kind: 'user' }, reason: 'narrowed' }] }
      })
    },
    async disable(id) {
      const result = await changed(id, (record) => ({
        change: {
          disabledAt: record.disabledAt ?? clock.now(),
          notBefore: latest(record.notBefore, clock.now()),
          sessionGeneration: nextGeneration(record),
        },
        ended: [{ selector: { principalId: id, kind: 'user' }, reason: 'disabled' }],
      }))
      if (result.outcome === 'done') await tidy(id)
      return result
    },
    async endAccess(id) {
      const result = await changed(id, (record) => ({
        change: {
          notBefore: latest(record.notBefore, clock.now()),
          sessionGeneration: nextGeneration(record),
        },
        ended: [{ selector: { principalId: id, kind: 'user' }, reason: 'revoked' }],
      }))
      if (result.outcome === 'done') await tidy(id)
      return result
    },
    enable: (id) => changed(id, () => ({ change: { disabledAt: undefined } })),
    login: options.login,
    revocations,
    async endSessions(id, reason) {
      const record = await change(id, (record) => ({
        change: { sessionGeneration: nextGeneration(record) },
        ended: [{ selector: { principalId: id, kind: 'user', scheme: 'session' }, reason }],
      }))
      if (record !== undefined) await tidy(id)
    },
  }
}

/**
 * Returns the later time: an instance with a slow clock must not restore access that another instance ended.
 */
function latest(before: number | undefined, now: number): number {
  return Math.max(before ?? now, now)
}

function shown(record: AccountRecord): Account {
  return {
    id: record.id,
    email: record.email,
    scopes: record.scopes,
    roles: record.roles,
    createdAt: record.createdAt,
    disabledAt: record.disabledAt,
    notBefore: record.notBefore,
    hasPassword: record.passwordHash !== undefined,
  }
}
