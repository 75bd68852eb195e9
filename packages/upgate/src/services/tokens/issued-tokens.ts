import type { Verification } from '../../core/contract/credential.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { RevocationReason } from '../../core/ports/revocations.ts'
import { type AccountStore, StoreUnavailable, type TokenStore } from '../../core/ports/stores.ts'
import { keyIdOf, type TokenRecord } from '../../core/ports/token-record.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { createId, createToken, type TokenPrefix } from '../../crypto/tokens.ts'
import { maxAttempts } from '../accounts/accounts.ts'
import { accountFault, tokenFault } from '../accounts/standing.ts'
import { pageRequest, shownPage } from '../pages.ts'
import { checkExpiry, checkName, checkNames, narrows } from '../record-input.ts'
import type { OwnRevocations } from '../revocations/revocations.ts'
import { importTokens } from './import-tokens.ts'
import { checkOverlap, refused, rotationPending } from './rotation.ts'
import type { TokenVerifier } from './token-verifier.ts'
import type { Touches } from './touches.ts'
import type {
  ApiKey,
  Device,
  NewApiKey,
  NewDevice,
  RotationRefusal,
  TokenInfo,
  TokenService,
} from './types.ts'
import { authenticated, rejected } from './verdicts.ts'

type Change = Partial<Omit<TokenRecord, 'id' | 'version'>>

export interface IssuedTokensOptions<T, N> {
  readonly prefix: TokenPrefix
  /** Name of the service, for messages. */
  readonly plural: 'keys' | 'devices'
  readonly tokens: TokenStore
  readonly accounts: AccountStore
  readonly clock: Clock
  readonly revocations: OwnRevocations
  readonly verifier: TokenVerifier
  readonly randomBytes: (size: number) => Uint8Array
  /** Roles and account of a new token. */
  details(token: N): { readonly roles: readonly string[]; readonly accountId?: string | undefined }
  show(record: TokenRecord): T
}

const maxOverlap = 30 * 86_400_000

interface Common {
  readonly name: string
  readonly scopes?: readonly string[] | undefined
  readonly expiresAt?: number | undefined
  readonly createdBy?: string | undefined
}

/**
 * Creates the service that issues, lists and ends long-lived tokens. API keys and device tokens share it
 * under different names.
 */
export function createIssuedTokens<T, N extends Common>(
  options: IssuedTokensOptions<T, N>,
): TokenService<T, N> {
  const { prefix, plural, tokens, accounts, clock, revocations, verifier, randomBytes, details, show } =
    options

  async function change(
    id: string,
    apply: (record: TokenRecord) => { change: Change | undefined; ended?: RevocationReason | undefined },
  ): Promise<T | undefined> {
    for (let i = 0; i < maxAttempts; i++) {
      const record = await tokens.get(id)
      if (record === undefined) return undefined
      const { change, ended } = apply(record)
      if (change === undefined) return show(record)
      const next: TokenRecord = { ...record, ...change, version: record.version + 1 }
      const selector = { credentialId: id }
      const drafts = ended === undefined ? [] : [{ at: clock.now(), selector, reason: ended }]
      const entries = await tokens.replace(next, drafts)
      if (entries === undefined) continue
      const announced = revocations.publish(entries)
      verifier.forget(selector)
      await announced
      return show(next)
    }
    throw new StoreUnavailable('store_busy', 'Others kept changing the record.')
  }

  return {
    async create(token) {
      const id = createId(randomBytes)
      const secret = createToken(prefix, id, randomBytes)
      const { roles, accountId } = details(token)
      if (accountId !== undefined && (await accounts.get(accountId)) === undefined) {
        throw new TypeError('`accountId` must be the id of an account')
      }
      const record: TokenRecord = {
        id,
        version: 1,
        digest: sha256(secret),
        name: checkName(token.name),
        scopes: checkNames('scopes', token.scopes ?? []),
        roles: checkNames('roles', roles),
        accountId,
        createdBy: token.createdBy,
        createdAt: clock.now(),
        expiresAt: checkExpiry(token.expiresAt),
      }
      if (!(await tokens.add(record))) {
        throw new StoreUnavailable('store_corrupt', 'A random id was taken already.')
      }
      return { id, token: secret, record: show(record) }
    },
    async get(id) {
      const record = await tokens.get(id)
      return record && show(record)
    },
    async list({ revoked = false } = {}) {
      const records = await tokens.list()
      return records.filter((record) => revoked || record.revokedAt === undefined).map(show)
    },
    async page({ revoked = false, ...options } = {}) {
      const request = pageRequest(`${plural}.page`, options)
      return shownPage(await tokens.page({ ...request, revoked }), show)
    },
    import: (records, options = {}) =>
      importTokens(`${plural}.import`, plural === 'devices', { tokens, accounts }, records, options),
    rename: async (id, name) => {
      const checked = checkName(name)
      return change(id, () => ({ change: { name: checked } }))
    },
    setScopes: async (id, scopes) => {
      const checked = checkNames('scopes', scopes)
      return change(id, (record) => ({
        change: { scopes: checked },
        ended: narrows(record.scopes, checked) ? 'narrowed' : undefined,
      }))
    },
    setExpiry: async (id, expiresAt) => {
      const checked = checkExpiry(expiresAt)
      return change(id, (record) => {
        const earlier = checked !== undefined && checked < (record.expiresAt ?? Number.POSITIVE_INFINITY)
        // Live sockets keep the expiry that was recorded when they were accepted, so they have to reconnect.
        return { change: { expiresAt: checked }, ended: earlier ? 'narrowed' : undefined }
      })
    },
    async rotate(id, rotation = {}) {
      const overlap = checkOverlap('overlap', rotation, 0, maxOverlap)
      const token = createToken(prefix, id, randomBytes)
      let previousUntil = 0
      let refusal: RotationRefusal | undefined = refused.unknown_credential
      const record = await change(id, (record) => {
        const now = clock.now()
        refusal = refusalFor(record, now, overlap)
        if (refusal !== undefined) return { change: undefined }
        previousUntil = Math.min(now + overlap, record.expiresAt ?? Number.POSITIVE_INFINITY)
        const digests = {
          digest: sha256(token),
          handedDigest: undefined,
          previousDigest: record.digest,
          previousHandedDigest: record.handedDigest,
          previousUntil,
        }
        // Live sockets do not know which of the two tokens they came with, so they have to reconnect.
        return { change: digests, ended: 'rotated' }
      })
      if (refusal !== undefined || record === undefined) return refusal ?? refused.unknown_credential
      return { outcome: 'done', id, token, record, previousUntil }
    },
    revoke: (id) =>
      change(id, (record) =>
        record.revokedAt === undefined
          ? { change: { revokedAt: clock.now() }, ended: 'revoked' }
          : { change: undefined },
      ),
    verify: verifier.verify,
    claims: verifier.claims,
    revocations,
  }
}

/** Creates the check that follows a right secret: whether the key or device is valid now. */
export function createTokenJudge(options: {
  readonly scheme: string
  readonly kind: 'device' | 'service'
  readonly accounts: AccountStore
  readonly clock: Clock
  readonly touches: Touches
  /** Age of the recorded last use, in milliseconds, after which a use is recorded again. */
  readonly touchAge: number
}): (record: TokenRecord) => Promise<Verification> {
  const { scheme, kind, accounts, clock, touches, touchAge } = options
  return async (record) => {
    const account = record.accountId === undefined ? undefined : await accounts.get(record.accountId)
    const now = clock.now()
    const fault = tokenFault(record, now)
    if (fault !== undefined) return faults[fault]
    let { scopes, roles } = record
    if (record.accountId !== undefined) {
      const accountsFault = accountFault(account)
      if (account === undefined || accountsFault !== undefined) {
        return accountsFault === 'disabled' ? faults.disabled : faults.gone
      }
      // A key never has more rights than its account has now.
      scopes = scopes.filter((scope) => account.scopes.includes(scope))
      roles = roles.filter((role) => account.roles.includes(role))
    }
    if (now - (record.lastUsedAt ?? 0) >= touchAge) touches.note(record.id, now)
    return authenticated({
      kind: account === undefined ? kind : 'user',
      id: account?.id ?? record.id,
      scheme,
      credentialId: record.id,
      scopes,
      roles,
      displayName: record.name,
      expiresAt: record.expiresAt,
    })
  }
}

const faults = {
  revoked: rejected('revoked_credential', 'it was revoked'),
  expired: rejected('expired_credential', 'it expired'),
  gone: rejected('revoked_credential', 'its account is gone'),
  disabled: rejected('account_disabled', 'its account is disabled'),
}

function refusalFor(record: TokenRecord, now: number, overlap: number): RotationRefusal | undefined {
  const fault = tokenFault(record, now)
  if (fault !== undefined) return refused[`${fault}_credential`]
  return rotationPending(record, now, overlap) ? refused.rotation_pending : undefined
}

function infoOf(record: TokenRecord): TokenInfo {
  const { id, name, scopes, accountId, createdBy, createdAt, expiresAt, lastUsedAt, revokedAt } = record
  return { id, name, scopes, accountId, createdBy, createdAt, expiresAt, lastUsedAt, revokedAt }
}

function keyOf(record: TokenRecord): Pick<Device, 'keyId' | 'keyFrom'> {
  const keyId = keyIdOf(record)
  if (keyId === undefined) return { keyId, keyFrom: undefined }
  return { keyId, keyFrom: record.keyToken === undefined ? 'pairing' : 'first-use' }
}

type Particulars<T, N> = Pick<IssuedTokensOptions<T, N>, 'prefix' | 'plural' | 'details' | 'show'>

/** Settings that are specific to API keys. */
export const apiKeys: Particulars<ApiKey, NewApiKey> = {
  prefix: 'ugk',
  plural: 'keys',
  details: ({ roles = [], accountId }) => ({ roles, accountId }),
  show: (record) => ({ ...infoOf(record), roles: record.roles }),
}

/** Settings that are specific to device tokens. */
export const deviceTokens: Particulars<Device, NewDevice> = {
  prefix: 'ugd',
  plural: 'devices',
  details: ({ role = 'node' }) => ({ roles: [role] }),
  show: (record) => ({ ...infoOf(record), role: record.roles[0] ?? '', ...keyOf(record) }),
}
