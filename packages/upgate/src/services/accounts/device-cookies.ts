import { createHmac } from 'node:crypto'
import { assertKnownOptions } from '../../core/options/check-options.ts'
import type { Logger } from '../../core/ports/logger.ts'
import {
  type AccountRecord,
  type AccountStore,
  type SecretStore,
  StoreUnavailable,
} from '../../core/ports/stores.ts'
import { equalDigests } from '../../crypto/equal.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { createId } from '../../crypto/tokens.ts'

/** Device cookie of a request; several if other cookies share its name, of which four are checked. */
export type DeviceCookieValue = string | readonly string[] | undefined

/** A cookie just issued. */
export interface IssuedDeviceCookie {
  /** Value for the browser to keep. It proves nothing alone, but still keep it out of logs and pages. */
  readonly value: string
  /** Milliseconds for which the browser may keep it: a year. */
  readonly maxAge: number
}

/**
 * Cookies by which a login recognises a browser, or another client, that logged in to the account before.
 *
 * They prove nothing: the password is still required. Failures of strangers do not lock out a client with
 * such a cookie, and its logins wait behind few others. A cookie counts for one account, until the account's
 * password is changed, all its sessions are ended, it is disabled, or ten wrong passwords came with the
 * cookie. An account has eight at most.
 */
export interface DeviceCookies {
  /**
   * Issues a cookie after a login; a browser keeps its own cookie while that still counts. `undefined` if the
   * account is unknown or disabled.
   *
   * @param accountId - account that the client has just logged in to
   * @param present - the cookie that the browser sent with the login
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * const issued = await services.deviceCookies.issue(accountId, device.read(request))
   */
  issue(accountId: string, present?: DeviceCookieValue): Promise<IssuedDeviceCookie | undefined>
  /**
   * Ends the cookies of an account except the given one: for "log out my other browsers".
   *
   * @param options - `except`: cookie of the browser that stays. Default: all end
   * @param accountId - account of the cookies
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  revokeAll(accountId: string, options?: { readonly except?: DeviceCookieValue }): Promise<void>
}

/** An attempt to log in with a cookie that counts. */
export interface KnownDevice {
  /** Public. */
  readonly id: string
  /** Must be called once. Answers whether this failure was the last that the cookie had left. */
  end(result: 'failed' | 'succeeded' | 'void'): boolean
}

export interface OwnDeviceCookies extends DeviceCookies {
  /**
   * Recognises a cookie that counts for this account, and reserves one of its failures. Never rejects: a
   * cookie that cannot be checked does not count.
   */
  recognise(email: string, value: DeviceCookieValue, dryRun: boolean): Promise<KnownDevice | undefined>
}

/** Attempts with one cookie since its last success. */
interface Budget {
  failed: number
  /** Not decided yet: each may still fail. */
  pending: number
}

/** Wrong passwords with a cookie after which it no longer counts. */
const maxFailures = 10
/** Cookies of one account that count at a time. */
const perAccount = 8
const maxAge = 365 * 86_400_000
const maxWrites = 32
const maxCandidates = 4
const form = /^1\.(\d{1,15})\.([0-9A-Za-z]{12})\.([A-Za-z0-9_-]{43})$/

/**
 * Creates OWASP's device cookies. Their ids are kept with the account, so that their number is bounded and
 * they can be ended.
 *
 * The signature is checked first: a forged cookie costs neither a look-up nor memory.
 */
export function createDeviceCookies(options: {
  readonly accounts: AccountStore
  readonly secrets: SecretStore | undefined
  /** Key of the signature; without it the store keeps one. */
  readonly secret: string | undefined
  readonly logger: Logger
  readonly randomBytes: (size: number) => Uint8Array
  /** Largest number of cookies with remembered failures. */
  readonly maxEntries: number
  /** Look-ups in flight; cookies beyond them do not count. */
  readonly lookups: number
}): OwnDeviceCookies {
  const { accounts, secrets, logger, randomBytes, maxEntries } = options
  /** In order of use. */
  const budgets = new Map<string, Budget>()
  let lookingUp = 0
  let key: Promise<string> | undefined

  function keyOf(): Promise<string> {
    key ??= makeKey().catch((error: unknown) => {
      key = undefined
      throw error
    })
    return key
  }

  async function makeKey(): Promise<string> {
    if (options.secret !== undefined) return options.secret
    const made = Buffer.from(randomBytes(32)).toString('base64url')
    if (secrets !== undefined) return secrets.keep('device-cookies', made)
    logger.warn('The store keeps no keys: device cookies end with this process.', {
      remedy: 'Give createServices the option `deviceCookieSecret`.',
    })
    return made
  }

  async function sign(email: string, generation: string, id: string): Promise<string> {
    // The address is signed but not in the cookie: a cookie of another account looks like a forged one. The
    // purpose is signed too, because the key may serve other purposes.
    const text = `upgate device cookie ${sha256(email)}.${generation}.${id}`
    return createHmac('sha256', await keyOf())
      .update(text)
      .digest('base64url')
  }

  /** Id and generation of a cookie that was signed here for this address. */
  async function read(email: string, value: DeviceCookieValue) {
    for (const each of [value ?? []].flat().slice(0, maxCandidates)) {
      const match = form.exec(each)
      if (match === null) continue
      const [, generation, id, signature] = match as unknown as [string, string, string, string]
      if (equalDigests(await sign(email, generation, id), signature))
        return { id, generation: Number(generation) }
    }
    return undefined
  }

  function counts(record: AccountRecord | undefined, cookie: { id: string; generation: number }): boolean {
    return (
      record !== undefined &&
      record.sessionGeneration === cookie.generation &&
      record.deviceCookies?.includes(cookie.id) === true
    )
  }

  function budgetOf(id: string): Budget {
    const budget = budgets.get(id) ?? { failed: 0, pending: 0 }
    budgets.delete(id)
    budgets.set(id, budget)
    if (budgets.size > maxEntries) budgets.delete(budgets.keys().next().value as string)
    return budget
  }

  function isSpent(id: string): boolean {
    const { failed, pending } = budgets.get(id) ?? { failed: 0, pending: 0 }
    return failed + pending >= maxFailures
  }

  /** Reads, changes, compares and sets until no other writer was faster. */
  async function change(
    find: () => Promise<AccountRecord | undefined>,
    apply: (record: AccountRecord) => readonly string[] | undefined,
  ): Promise<AccountRecord | undefined> {
    for (let i = 0; i < maxWrites; i++) {
      const record = await find()
      if (record === undefined) return undefined
      const deviceCookies = apply(record)
      if (deviceCookies === undefined) return record
      const next = { ...record, version: record.version + 1, deviceCookies }
      if ((await accounts.replace(next, [])) !== undefined) return next
    }
    throw new StoreUnavailable('store_busy', 'Others kept changing the account.')
  }

  function distrust(email: string, id: string): void {
    logger.warn('A device cookie does not count any more: too many wrong passwords came with it.', { id })
    change(
      () => accounts.byEmail(email),
      (record) =>
        record.deviceCookies?.includes(id) ? record.deviceCookies.filter((other) => other !== id) : undefined,
    ).catch((error: unknown) => {
      // This process remembers it; another one, or this one after a restart, allows ten more failures.
      logger.warn('That a device cookie does not count any more could not be written down.', {
        id,
        error: String(error),
      })
    })
  }

  async function recognise(
    email: string,
    value: DeviceCookieValue,
    dryRun: boolean,
  ): Promise<KnownDevice | undefined> {
    const cookie = await read(email, value)
    if (cookie === undefined || lookingUp >= options.lookups) return undefined
    const { id } = cookie
    if (isSpent(id)) return undefined
    // Reserve before the first await: concurrent attempts must not exceed the limit either.
    const budget = dryRun ? { failed: 0, pending: 0 } : budgetOf(id)
    budget.pending++
    lookingUp++
    let found = false
    try {
      found = counts(await accounts.byEmail(email), cookie)
    } finally {
      lookingUp--
      if (!found) end('void')
    }
    return found ? { id, end } : undefined

    function end(result: Parameters<KnownDevice['end']>[0]): boolean {
      budget.pending--
      if (result === 'succeeded') budget.failed = 0
      if (result === 'failed') budget.failed++
      if (budget.failed + budget.pending === 0 && budgets.get(id) === budget) budgets.delete(id)
      if (result !== 'failed' || budget.failed !== maxFailures || dryRun) return false
      distrust(email, id)
      return true
    }
  }

  return {
    recognise: (email, value, dryRun) => recognise(email, value, dryRun).catch(() => undefined),
    async issue(accountId, present) {
      const account = await accounts.get(accountId)
      if (account === undefined) return undefined
      const own = await read(account.email, present)
      const fresh = createId(randomBytes)
      let id = fresh
      const record = await change(
        () => accounts.get(accountId),
        (current) => {
          if (current.disabledAt !== undefined) return undefined
          const ids = current.deviceCookies ?? []
          const keeps = own !== undefined && counts(current, own) && !isSpent(own.id)
          id = keeps ? own.id : fresh
          // Write only if this cookie would soon be the account's oldest, and be removed.
          if (keeps && ids.indexOf(id) >= ids.length - perAccount / 2) return undefined
          return [...ids.filter((other) => other !== own?.id), id].slice(-perAccount)
        },
      )
      if (record === undefined || record.disabledAt !== undefined) return undefined
      const generation = `${record.sessionGeneration}`
      return { value: `1.${generation}.${id}.${await sign(record.email, generation, id)}`, maxAge }
    },
    async revokeAll(accountId, revocation = {}) {
      assertKnownOptions('deviceCookies.revokeAll', revocation, ['except'])
      const account = await accounts.get(accountId)
      const kept = account && (await read(account.email, revocation.except))
      await change(
        () => accounts.get(accountId),
        (record) => {
          const ids = record.deviceCookies ?? []
          const left = kept !== undefined && counts(record, kept) ? [kept.id] : []
          return left.length === ids.length ? undefined : left
        },
      )
    },
  }
}
