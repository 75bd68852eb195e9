import { flag, integer, oneOf, onlyKnown } from './check.ts'
import type { Clock } from './clock.ts'
import { clientSecret, digest, hex, type RandomBytes, sameDigest } from './secrets.ts'

/** A service token to simulate. */
export interface ServiceTokenOptions {
  /** Name in policies, logs and methods. */
  readonly name: string
  /** Name of its team. Default the first. */
  readonly team?: string
  /** Form of the secret: 64 hex, or `cfast_` with 40 alphanumerics and a checksum. Default `hex`. */
  readonly form?: 'hex' | 'cfast'
  /** When it expires, in milliseconds since the epoch. Default: one year from now. */
  readonly expiresAt?: number
  /** Starts disabled. Default `false`. */
  readonly disabled?: boolean
}

/** A service token with its secret, in the forms that a client sends. Shown once, as at Cloudflare. */
export interface ServiceTokenCredentials {
  readonly name: string
  readonly clientId: string
  readonly clientSecret: string
  /** `CF-Access-Client-Id` and `CF-Access-Client-Secret`. */
  readonly headers: { readonly 'CF-Access-Client-Id': string; readonly 'CF-Access-Client-Secret': string }
  /** `Authorization`, for applications with `singleHeader`. */
  readonly singleHeader: { readonly Authorization: string }
}

/** The service tokens of all teams. */
export interface ServiceTokens {
  add(options: ServiceTokenOptions, team: string): ServiceTokenCredentials
  /** Gives a new secret; the former one still works for `graceSeconds`. */
  rotate(name: string, graceSeconds: number): ServiceTokenCredentials
  /** Lets a token expire now. */
  expire(name: string): void
  setDisabled(name: string, disabled: boolean): void
  /** The name of the token that these two values prove, if it is valid now; `undefined` for every other reason. */
  authenticate(team: string, clientId: string, secret: string): string | undefined
  /** The name of a token that is valid now, by its id. */
  valid(team: string, clientId: string): string | undefined
}

interface Entry {
  readonly name: string
  readonly team: string
  readonly clientId: string
  readonly form: 'hex' | 'cfast'
  current: Buffer
  former: { digest: Buffer; until: number } | undefined
  expiresAt: number
  disabled: boolean
}

const YEAR_MS = 365 * 86_400_000

/** Makes the register. It keeps digests only: a secret is shown once and then known to its owner alone. */
export function createServiceTokens(clock: Clock, random: RandomBytes): ServiceTokens {
  const entries = new Map<string, Entry>()

  function named(name: string): Entry {
    const entry = entries.get(name)
    if (entry === undefined) throw new TypeError(`there is no service token named ${JSON.stringify(name)}`)
    return entry
  }

  function credentials(entry: Entry, secret: string): ServiceTokenCredentials {
    const { name, clientId } = entry
    const json = JSON.stringify({ 'cf-access-client-id': clientId, 'cf-access-client-secret': secret })
    return {
      name,
      clientId,
      clientSecret: secret,
      headers: { 'CF-Access-Client-Id': clientId, 'CF-Access-Client-Secret': secret },
      singleHeader: { Authorization: json },
    }
  }

  function find(team: string, clientId: string): Entry | undefined {
    for (const entry of entries.values()) {
      if (entry.clientId !== clientId || entry.team !== team) continue
      return entry.disabled || entry.expiresAt <= clock.now() ? undefined : entry
    }
    return undefined
  }

  return {
    add(options, team) {
      onlyKnown('serviceToken', options, ['name', 'team', 'form', 'expiresAt', 'disabled'])
      const { name, form = 'hex', expiresAt = clock.now() + YEAR_MS, disabled = false } = options
      if (typeof name !== 'string' || name === '')
        throw new TypeError('serviceToken.name must be a non-empty string')
      if (entries.has(name)) throw new TypeError(`serviceToken.name ${JSON.stringify(name)} is taken`)
      oneOf('serviceToken.form', form, ['hex', 'cfast'])
      integer('serviceToken.expiresAt', expiresAt, 0, Number.MAX_SAFE_INTEGER)
      flag('serviceToken.disabled', disabled)
      const secret = clientSecret(random, form)
      const clientId = `${hex(random, 16)}.access`
      const entry = {
        name,
        team,
        clientId,
        form,
        current: digest(secret),
        former: undefined,
        expiresAt,
        disabled,
      }
      entries.set(name, entry)
      return credentials(entry, secret)
    },
    rotate(name, graceSeconds) {
      integer('graceSeconds', graceSeconds, 0, 31_536_000)
      const entry = named(name)
      const secret = clientSecret(random, entry.form)
      entry.former = { digest: entry.current, until: clock.now() + graceSeconds * 1000 }
      entry.current = digest(secret)
      return credentials(entry, secret)
    },
    expire(name) {
      named(name).expiresAt = clock.now()
    },
    setDisabled(name, disabled) {
      named(name).disabled = flag('disabled', disabled)
    },
    authenticate(team, clientId, secret) {
      const entry = find(team, clientId)
      if (entry === undefined) return undefined
      const given = digest(secret)
      if (sameDigest(given, entry.current)) return entry.name
      const { former } = entry
      return former !== undefined && former.until > clock.now() && sameDigest(given, former.digest)
        ? entry.name
        : undefined
    },
    valid: (team, clientId) => find(team, clientId)?.name,
  }
}
