import ipaddr from 'ipaddr.js'
import type { Verification } from '../core/credential.ts'
import type { Clock } from '../core/ports/clock.ts'
import type { Logger } from '../core/ports/logger.ts'
import type { AccountRecord, AccountStore } from '../core/ports/stores.ts'
import type { Principal } from '../core/principal.ts'
import type { PasswordHasher } from '../crypto/password.ts'
import { sha256 } from '../crypto/sha256.ts'
import { normaliseEmail, normalisePassword, passwordProblem } from './account-input.ts'
import { createFailureTable, type FailureCount } from './failures.ts'
import type { HashPool } from './hash-pool.ts'
import { rejected, unavailable } from './token-verifier.ts'
import type { Accounts } from './types.ts'

/** Failures within a minute that lock: a pair of account and address, an address, an account for strangers. */
const limits = { pair: 10, address: 50, account: 100 }

const crowded: Verification = unavailable('too many passwords are being checked', 1)
const wrong: Verification = rejected('invalid_credential', 'no such account, or not its password')

/** Creates the check of a password: lockout, dummy hash, bounded hashing, rehash. */
export function createLogin(options: {
  readonly accounts: AccountStore
  readonly clock: Clock
  readonly logger: Logger | undefined
  readonly hasher: PasswordHasher
  readonly pool: HashPool
  readonly failureEntries: number
  readonly randomBytes: (size: number) => Uint8Array
}): Accounts['login'] {
  const { accounts, clock, logger, hasher, pool, failureEntries, randomBytes } = options
  const failures = createFailureTable({ clock, maxEntries: failureEntries })
  /** Pairs of account and address that logged in before: guesses from elsewhere must not lock them out. */
  const proven = new Set<string>()
  let dummy: Promise<string> | undefined

  function dummyHash(): Promise<string> {
    dummy ??= hasher.hash(Buffer.from(randomBytes(32)).toString('base64')).catch((error: unknown) => {
      dummy = undefined
      throw error
    })
    return dummy
  }

  function countsOf(email: string, clientAddress: string | undefined): readonly FailureCount[] {
    // Digests, so that the keys are short whatever was sent.
    const account = sha256(email)
    const address = clientAddress === undefined ? 'unknown' : networkOf(clientAddress)
    const pair = `${account} ${address}`
    const counts: FailureCount[] = [{ key: pair, limit: limits.pair }]
    if (clientAddress !== undefined) {
      counts.push({ key: address, limit: limits.address })
      if (!proven.has(pair)) counts.push({ key: account, limit: limits.account })
    }
    return counts
  }

  function remember(pair: string): void {
    proven.delete(pair)
    proven.add(pair)
    if (proven.size > failureEntries) {
      for (const oldest of proven) {
        proven.delete(oldest)
        break
      }
    }
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
    const normalised = normaliseEmail(email)
    const counts = countsOf(normalised ?? String(email).slice(0, 320), clientAddress)
    const attempt = failures.begin(counts, dryRun)
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
      if (answer.outcome === 'authenticated') {
        attempt.end('succeeded')
        if (!dryRun) remember((counts[0] as FailureCount).key)
      } else attempt.end(answer.outcome === 'rejected' ? 'failed' : 'void')
      return answer
    } catch (error) {
      attempt.end('void')
      logger?.warn('A password could not be checked.', { error: String(error) })
      return unavailable('the account store or the password hasher cannot answer', 5)
    }
  }
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

/** An address as it is counted: IPv4-mapped folded, IPv6 by its /64, which is what one customer gets. */
function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address.slice(0, 64)
  const parsed = ipaddr.process(address)
  if (parsed.kind() === 'ipv4') return parsed.toString()
  return `${parsed
    .toByteArray()
    .slice(0, 8)
    .map((byte) => byte.toString(16))
    .join('.')}/64`
}
