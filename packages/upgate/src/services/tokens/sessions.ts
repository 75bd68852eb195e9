import type { Verification } from '../../core/contract/credential.ts'
import type { Clock } from '../../core/ports/clock.ts'
import {
  type AccountStore,
  type SessionRecord,
  type SessionStore,
  type SessionWithAccount,
  type Store,
  StoreUnavailable,
} from '../../core/ports/stores.ts'
import { equalDigests } from '../../crypto/equal.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { createId, createToken, parseToken } from '../../crypto/tokens.ts'
import type { OwnAccounts } from '../accounts/accounts.ts'
import { accountFault } from '../accounts/standing.ts'
import { pageRequest } from '../pages.ts'
import { inOneLine } from '../record-input.ts'
import type { OwnRevocations } from '../revocations/revocations.ts'
import { createPurger } from './purger.ts'
import { checkOverlap, refused, rotationPending } from './rotation.ts'
import type { TokenVerifier } from './token-verifier.ts'
import type { Touches } from './touches.ts'
import type { SessionInfo, Sessions } from './types.ts'
import { authenticated, rejected } from './verdicts.ts'

const purgeInterval = 60_000
const maxLabel = 200
const standardGrace = 10_000
const maxGrace = 60_000

export interface SessionLifetimes {
  /** Milliseconds without use after which a session ends. */
  readonly idle: number
  /** Milliseconds after its creation at which a session ends, used or not. */
  readonly absolute: number
}

export interface SessionsOptions extends SessionLifetimes {
  readonly sessions: SessionStore
  readonly accounts: AccountStore
  readonly accountService: OwnAccounts
  readonly clock: Clock
  readonly revocations: OwnRevocations
  readonly verifier: TokenVerifier
  readonly perAccount: number
  readonly randomBytes: (size: number) => Uint8Array
}

export function createSessions(options: SessionsOptions): Sessions {
  const { sessions, accounts, clock, revocations, verifier, perAccount, randomBytes, idle, absolute } =
    options
  const purge = createPurger(clock, purgeInterval, (now, atMost) => sessions.purge(now, now - idle, atMost))

  function shown(record: SessionRecord): SessionInfo {
    const { id, accountId, createdAt, lastSeenAt, label, clientAddress } = record
    const endsAt = record.expiresAt
    const expiresAt = Math.min(endsAt, lastSeenAt + idle)
    return { id, accountId, createdAt, lastSeenAt, expiresAt, endsAt, label, clientAddress }
  }

  /**
   * Ends the session of a browser's former token, if that token is the session's latest. An older copy of a
   * token must not log its owner out.
   */
  async function endFormer(token: string, now: number): Promise<void> {
    const parsed = parseToken('ugs', token)
    const record = 'id' in parsed ? await sessions.get(parsed.id) : undefined
    if (record === undefined) return
    const digest = sha256(token)
    const previous = now < (record.previousUntil ?? 0) ? (record.previousDigest ?? '') : ''
    if (!equalDigests(record.digest, digest) && !equalDigests(previous, digest)) return
    const selector = { sessionId: record.id }
    const entry = await sessions.remove(record.id, { at: now, selector, reason: 'rotated' })
    if (entry !== undefined) await revocations.publish([entry])
  }

  return {
    async create(accountId, details = {}) {
      const account = await accounts.get(accountId)
      if (account === undefined || account.disabledAt !== undefined) return undefined
      const now = clock.now()
      await purge()
      // End the former session first: adding a session may end the account's oldest one, and the former one
      // makes room.
      for (const token of [details.replaces ?? []].flat().slice(0, 4)) await endFormer(token, now)
      const id = createId(randomBytes)
      const token = createToken('ugs', id, randomBytes)
      const record: SessionRecord = {
        id,
        digest: sha256(token),
        accountId,
        generation: account.sessionGeneration,
        createdAt: now,
        lastSeenAt: now,
        expiresAt: now + absolute,
        label: details.label === undefined ? undefined : inOneLine(details.label.slice(0, maxLabel)),
        clientAddress: details.clientAddress,
      }
      const evicted = await sessions.add(record, perAccount)
      if (evicted === undefined) throw new StoreUnavailable('store_corrupt', 'A random id was taken already.')
      await revocations.publish(evicted)
      return { token, session: shown(record) }
    },
    async list(accountId) {
      const generation = (await accounts.get(accountId))?.sessionGeneration
      const now = clock.now()
      const all = (await sessions.list(accountId)).filter((record) => record.generation === generation)
      return all.map(shown).filter((session) => session.expiresAt > now)
    },
    async page(accountId, options = {}) {
      const request = pageRequest('sessions.page', options)
      const generation = (await accounts.get(accountId))?.sessionGeneration
      const { records, next } = await sessions.page(accountId, request)
      const now = clock.now()
      const current = records.filter((record) => record.generation === generation)
      return { items: current.map(shown).filter((session) => session.expiresAt > now), next }
    },
    async revoke(id, reason = 'logged_out') {
      const entry = await sessions.remove(id, { at: clock.now(), selector: { sessionId: id }, reason })
      if (entry === undefined) return false
      await revocations.publish([entry])
      return true
    },
    async rotate(id, rotation = {}) {
      const grace = checkOverlap('grace', rotation, standardGrace, maxGrace)
      const token = createToken('ugs', id, randomBytes)
      const record = await sessions.get(id)
      if (record === undefined) return refused.unknown_credential
      const account = await accounts.get(record.accountId)
      const now = clock.now()
      const fault = accountFault(account, record.generation)
      if (fault !== undefined) {
        return fault === 'disabled' ? refused.account_disabled : refused.revoked_credential
      }
      if (now >= Math.min(record.expiresAt, record.lastSeenAt + idle)) return refused.expired_credential
      if (rotationPending(record, now, grace)) return refused.rotation_pending
      const digests = { digest: sha256(token), previousDigest: record.digest, previousUntil: now + grace }
      const draft = { at: now, selector: { sessionId: id }, reason: 'rotated' } as const
      const entry = await sessions.rotate(id, record.digest, digests, draft)
      // Another caller was faster and has the new token, or the session has just ended.
      if (entry === undefined)
        return (await sessions.get(id)) ? refused.rotation_pending : refused.unknown_credential
      await revocations.publish([entry])
      return { outcome: 'done', token, session: shown({ ...record, ...digests }) }
    },
    revokeAll: (accountId, reason = 'revoked') => options.accountService.endSessions(accountId, reason),
    verify: verifier.verify,
    claims: verifier.claims,
    revocations,
  }
}

/** Finds a session with its account: in one query where the store can, else in two. */
export function createSessionFinder(
  store: Store,
): (id: string) => Promise<SessionRecord | SessionWithAccount | undefined> {
  const { sessions, accounts, sessionsWithAccounts: both } = store
  return both?.sessions === sessions && both.accounts === accounts ? both.get : sessions.get
}

/** Creates the check that follows a right secret: whether the session is valid now. */
export function createSessionJudge(options: {
  readonly accounts: AccountStore
  readonly clock: Clock
  readonly touches: Touches
  readonly lifetimes: SessionLifetimes
  /** Age of the recorded last use, in milliseconds, after which a use is recorded again. */
  readonly touchAge: number
}): (record: SessionRecord | SessionWithAccount) => Promise<Verification> {
  const { accounts, clock, touches, lifetimes, touchAge } = options
  return async (record) => {
    const account = 'account' in record ? record.account : await accounts.get(record.accountId)
    const now = clock.now()
    const fault = accountFault(account, record.generation)
    if (account === undefined || fault !== undefined) return faults[fault ?? 'gone']
    if (now >= record.expiresAt) return rejected('expired_credential', 'the session reached its end')
    if (now >= record.lastSeenAt + lifetimes.idle) {
      return rejected('expired_credential', 'the session was not used for too long')
    }
    if (now - record.lastSeenAt >= touchAge) touches.note(record.id, now)
    return authenticated({
      kind: 'user',
      id: account.id,
      scheme: 'session',
      credentialId: record.id,
      sessionId: record.id,
      scopes: account.scopes,
      roles: account.roles,
      expiresAt: Math.min(record.expiresAt, now + lifetimes.idle),
      displayName: account.email,
    })
  }
}

const faults = {
  gone: rejected('revoked_credential', 'the account is gone'),
  disabled: rejected('account_disabled', 'the account is disabled'),
  ended: rejected('revoked_credential', 'the session was ended with all others of the account'),
}
