import type { Verification } from '../core/credential.ts'
import { networksOf } from '../core/networks.ts'
import type { FailureCount } from '../core/ports/failures.ts'
import type { Logger } from '../core/ports/logger.ts'
import type { AccountRecord, AccountStore } from '../core/ports/stores.ts'
import type { Principal } from '../core/principal.ts'
import type { PasswordHasher } from '../crypto/password.ts'
import { sha256 } from '../crypto/sha256.ts'
import { normaliseEmail, normalisePassword, passwordProblem } from './account-input.ts'
import type { Failures } from './failure-limits.ts'
import type { HashPool } from './hash-pool.ts'
import { rejected, unavailable } from './token-verifier.ts'
import type { Accounts } from './types.ts'

/** Failures within a minute that lock: a pair of account and address, an address, an account for strangers. */
const limits = { pair: 10, address: 50, account: 100 }

/** What an answer says about who it was. */
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
  readonly failures: Failures
  readonly logger: Logger | undefined
  readonly hasher: PasswordHasher
  readonly pool: HashPool
  readonly randomBytes: (size: number) => Uint8Array
}): Accounts['login'] {
  const { accounts, failures, logger, hasher, pool, randomBytes } = options
  let dummy: Promise<string> | undefined

  function dummyHash(): Promise<string> {
    dummy ??= hasher.hash(Buffer.from(randomBytes(32)).toString('base64')).catch((error: unknown) => {
      dummy = undefined
      throw error
    })
    return dummy
  }

  async function rehash(record: AccountRecord, password: string): Promise<void> {
    const hash = await pool.run(() => hasher.hash(password))
    // Compare and set: a password changed in the meantime stays changed.
    if (hash !== undefined) {
      await accounts.replace({ ...record, version: record.version + 1, passwordHash: hash }, [])
    }
  }

  /** Runs within the pool, store and all: what waits for a slow store is bounded like what waits for a hash. */
  async function check(email: string | undefined, password: string, dryRun: boolean): Promise<Verification> {
    const found = email === undefined ? undefined : await accounts.byEmail(email)
    const stored = found?.passwordHash
    // Always made, used or not: which of the two it was must not be heard in the time it takes.
    const substitute = await dummyHash()
    const matched = await hasher.verify(password, stored ?? substitute)
    if (!matched || found === undefined || stored === undefined) return wrong
    // The password may have been changed, or the account disabled, while it was being hashed.
    const record = await accounts.get(found.id)
    if (record === undefined || record.passwordHash !== stored) return wrong
    if (record.disabledAt !== undefined) return rejected('account_disabled', 'the account is disabled')
    if (!dryRun && hasher.needsRehash(stored)) {
      rehash(record, password).catch((error: unknown) => {
        logger?.warn('A password hash could not be renewed.', { error: String(error) })
      })
    }
    return Object.freeze({ outcome: 'authenticated', principal: principalOf(record) })
  }

  return async (email, password, context = {}) => {
    const { clientAddress, dryRun = false } = context
    // A missing password is no guess: it counts nowhere, and nothing is looked up for it.
    if (password === '' || password === undefined) return wrong
    const normalised = normaliseEmail(email)
    const counts = countsOf(normalised ?? String(email).slice(0, 320), clientAddress)
    const attempt = await failures.begin(counts, dryRun)
    if (attempt === undefined) return crowded
    if (!attempt.allowed) {
      const reason = 'too many failed logins'
      return { outcome: 'throttled', reason, retryAfter: attempt.retryAfter }
    }
    const text = normalisePassword(password)
    if (text === undefined || passwordProblem(text)?.code === 'password_too_long') {
      attempt.end('failed')
      return wrong
    }
    try {
      const answer = (await pool.run(() => check(normalised, text, dryRun))) ?? crowded
      attempt.end(results[answer.outcome])
      return answer
    } catch (error) {
      attempt.end('void')
      logger?.warn('A password could not be checked.', { error: String(error) })
      return unavailable('the account store or the password hasher cannot answer', 5)
    }
  }
}

/** The pair of account and address first: success clears it, and lets nobody else's guesses lock it out. */
function countsOf(email: string, clientAddress: string | undefined): readonly FailureCount[] {
  // A digest, so that the keys are short whatever was sent.
  const account = sha256(email)
  if (clientAddress === undefined) return [{ key: `password ${account} unknown`, limit: limits.pair }]
  const [address, ...wider] = networksOf(clientAddress)
  return [
    { key: `password ${account} ${address.key}`, limit: limits.pair },
    { key: `password ${address.key}`, limit: limits.address },
    ...wider.map(({ key, factor }) => ({
      key: `password ${key}`,
      limit: limits.address * factor,
      strangersOnly: true,
    })),
    { key: `password ${account}`, limit: limits.account, strangersOnly: true },
  ]
}

function principalOf(record: AccountRecord): Principal {
  return Object.freeze({
    kind: 'user',
    id: record.id,
    scheme: 'password',
    scopes: Object.freeze([...record.scopes]),
    roles: Object.freeze([...record.roles]),
    displayName: record.email,
    attributes: Object.freeze({}),
  })
}
