import type { Verification } from '../../core/contract/credential.ts'
import { createPrincipal, type Principal } from '../../core/contract/principal.ts'
import type { FailureCount } from '../../core/ports/failures.ts'
import type { Logger } from '../../core/ports/logger.ts'
import type { AccountRecord, AccountStore } from '../../core/ports/stores.ts'
import { type Network, networksOf, sharesOf } from '../../core/request/networks.ts'
import type { PasswordHasher } from '../../crypto/password.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { rejected, unavailable } from '../tokens/verdicts.ts'
import { normaliseEmail, normalisePassword, passwordProblem } from './account-input.ts'
import type { OwnDeviceCookies } from './device-cookies.ts'
import type { Failures } from './failure-limits.ts'
import type { HashPool, Party } from './hash-pool.ts'
import type { Accounts, LoginAnswer, LoginContext } from './types.ts'

/**
 * Failures within a minute that lock: a pair of account and address, an address, an account for strangers.
 */
const limits = { pair: 10, address: 50, account: 100 }

/** A count, with the name of its lock for the operator. */
interface LoginCount extends FailureCount {
  readonly locks: NonNullable<LoginAnswer['locked']>
}

/** An attempt that is allowed: its party for the hash pool, and the function that reports its end. */
interface Admitted {
  readonly party: Party
  readonly deviceCookie: LoginAnswer['deviceCookie']
  /** Answers whether this was the last failure that a device cookie had left. */
  end(result: 'failed' | 'succeeded' | 'void'): boolean
}

/** Maps the outcome of a login to the result that the failure counts record. */
const results = {
  authenticated: 'succeeded',
  rejected: 'failed',
  unavailable: 'void',
  throttled: 'void',
} as const

const crowded: Verification = unavailable('too many passwords are being checked', 1)
const wrong: Verification = rejected('invalid_credential', 'no such account, or not its password')

/** Creates the check of a password: lockout, dummy hash, bounded hashing, rehash. */
export function createLogin(options: {
  readonly accounts: AccountStore
  readonly recognise: OwnDeviceCookies['recognise']
  readonly failures: Failures
  readonly logger: Logger
  readonly hasher: PasswordHasher
  readonly pool: HashPool
  readonly randomBytes: (size: number) => Uint8Array
}): Accounts['login'] {
  const { accounts, recognise, failures, logger, hasher, pool, randomBytes } = options
  let dummy: Promise<string> | undefined

  function dummyHash(): Promise<string> {
    dummy ??= hasher.hash(Buffer.from(randomBytes(32)).toString('base64')).catch((error: unknown) => {
      dummy = undefined
      throw error
    })
    return dummy
  }

  async function rehash(record: AccountRecord, password: string): Promise<void> {
    const hash = await pool.run({ known: true, shares: [accountShare(record.email)] }, () =>
      hasher.hash(password),
    )
    // Compare and set: a password changed since then stays changed.
    if (hash !== undefined) {
      await accounts.replace({ ...record, version: record.version + 1, passwordHash: hash }, [])
    }
  }

  /**
   * Runs inside the pool, store included: the pool bounds both the wait for a slow store and the wait for a
   * hash.
   */
  async function check(email: string | undefined, password: string, dryRun: boolean): Promise<Verification> {
    const found = email === undefined ? undefined : await accounts.byEmail(email)
    const stored = found?.passwordHash
    // Always created, needed or not: the time must not reveal whether the account exists.
    const substitute = await dummyHash()
    const matched = await hasher.verify(password, stored ?? substitute)
    if (!matched || found === undefined || stored === undefined) return wrong
    // The password may have been changed, or the account disabled, during the hashing.
    const record = await accounts.get(found.id)
    if (record === undefined || record.passwordHash !== stored) return wrong
    if (record.disabledAt !== undefined) return rejected('account_disabled', 'the account is disabled')
    if (!dryRun && hasher.needsRehash(stored)) {
      rehash(record, password).catch((error: unknown) => {
        logger.warn('A password hash could not be renewed.', { error: String(error) })
      })
    }
    return Object.freeze({ outcome: 'authenticated', principal: principalOf(record) })
  }

  /** Decides whether an attempt may be made, and under which counts. */
  async function admit(account: string, context: LoginContext): Promise<Admitted | LoginAnswer> {
    const { clientAddress, origin, dryRun = false } = context
    const device = await recognise(account, context.deviceCookie, dryRun)
    const share = accountShare(account)
    if (device !== undefined) {
      // Only failures with this cookie count: failures of others must not lock it, nor its failures lock
      // others.
      return { party: { known: true, shares: [share] }, deviceCookie: 'good', end: device.end }
    }
    const deviceCookie = context.deviceCookie === undefined ? 'none' : 'void'
    const counts = countsOf(sha256(account), clientAddress, origin)
    const attempt = await failures.begin(counts, dryRun)
    if (attempt === undefined) return { ...crowded, deviceCookie, known: false }
    if (!attempt.allowed) {
      const locked = counts[attempt.count ?? 0]?.locks
      const { retryAfter } = attempt
      return {
        outcome: 'throttled',
        reason: 'too many failed logins',
        retryAfter,
        deviceCookie,
        known: false,
        locked,
      }
    }
    // An unknown address does not identify a client: a separate place would tell every client about the
    // logins of others.
    const known = attempt.known === true && clientAddress !== undefined
    return {
      party: known ? { known, shares: [share] } : { known, shares: sharesOfClient(clientAddress, origin) },
      deviceCookie,
      end(result) {
        attempt.end(result)
        return false
      },
    }
  }

  return async (email, password, context = {}) => {
    // A missing password is no guess: it is not counted, and no look-up is made for it.
    if (password === '' || password === undefined) return { ...wrong, deviceCookie: 'none', known: false }
    const normalised = normaliseEmail(email)
    const admitted = await admit(normalised ?? String(email).slice(0, 320), context)
    if ('outcome' in admitted) return admitted
    const { party, deviceCookie } = admitted
    const answered = (answer: Verification): LoginAnswer => {
      const spent = admitted.end(results[answer.outcome])
      return { ...answer, known: party.known, deviceCookie: spent ? 'spent' : deviceCookie }
    }
    const text = normalisePassword(password)
    if (text === undefined || passwordProblem(text)?.code === 'password_too_long') return answered(wrong)
    try {
      const { dryRun = false } = context
      return answered((await pool.run(party, () => check(normalised, text, dryRun))) ?? crowded)
    } catch (error) {
      logger.warn('A password could not be checked.', { error: String(error) })
      return answered(unavailable('the account store or the password hasher cannot answer', 5))
    }
  }
}

/**
 * Counts of an attempt. The pair of account and address comes first: a success clears it, and guesses from
 * other addresses cannot lock it.
 */
function countsOf(
  account: string,
  clientAddress: string | undefined,
  origin: string | undefined,
): readonly LoginCount[] {
  // Digests keep the keys short for any input.
  if (clientAddress === undefined) {
    const all = { key: `password ${account} unknown`, limit: limits.pair, locks: 'pair' } as const
    if (origin === undefined) return [all]
    // Pages on one machine differ by the Origin that the browser sends: one page must not lock out another.
    return [
      { key: `password ${account} unknown ${sha256(origin)}`, limit: limits.pair, locks: 'pair' },
      { ...all, strangersOnly: true, locks: 'account' },
    ]
  }
  const [address, ...wider] = networksOf(clientAddress)
  return [
    { key: `password ${account} ${address.key}`, limit: limits.pair, locks: 'pair' },
    { key: `password ${address.key}`, limit: limits.address, locks: 'address' },
    ...wider.map(({ key, factor }) => ({
      key: `password ${key}`,
      limit: limits.address * factor,
      strangersOnly: true,
      locks: 'address' as const,
    })),
    { key: `password ${account}`, limit: limits.account, strangersOnly: true, locks: 'account' },
  ]
}

/**
 * Keys of a stranger's turns. Clients with unknown addresses share one network, in which pages take turns.
 */
function sharesOfClient(clientAddress: string | undefined, origin: string | undefined): Party['shares'] {
  if (clientAddress !== undefined) return sharesOf(clientAddress)
  const page = origin === undefined ? 'unknown' : `unknown ${sha256(origin)}`
  return [
    { key: page, factor: 1 },
    { key: 'unknown addresses', factor: 4 },
  ]
}

/** Key under which all turns of one account are counted. */
function accountShare(email: string): Network {
  return { key: `account ${sha256(email)}`, factor: 1 }
}

function principalOf(record: AccountRecord): Principal {
  const { id, scopes, roles, email: displayName } = record
  return createPrincipal({ kind: 'user', id, scheme: 'password', scopes, roles, displayName })
}
