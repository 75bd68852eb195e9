import { inTime } from '../../core/async/in-time.ts'
import { andThen, isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { MaybePromise, Scheme, Verification } from '../../core/contract/credential.ts'
import type { Principal } from '../../core/contract/principal.ts'
import {
  clock as clockKind,
  flag,
  fn,
  list,
  logger as loggerKind,
  milliseconds,
  optional,
  revocationFeed,
  text,
  unchecked,
  withDefault,
} from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import { systemClock } from '../../platform/system-clock.ts'
import { createHeaderReader } from './headers.ts'
import { compilePeers } from './peers.ts'
import type { HeaderAccount, HeaderIdentity, TrustedHeaderOptions } from './types.ts'

const where = 'trustedHeader'

const trustedHeaderOptions = optionTable<TrustedHeaderOptions>()({
  // Checked by `createHeaderReader`.
  headers: unchecked(),
  peers: list(
    "a list of the proxy's addresses or Unix sockets, such as ['10.0.0.5'] or ['/run/app/gate.sock']; without one, every client could log in as any user",
    (peer) => typeof peer === 'string' && peer !== '',
  ),
  identify: fn('a function that finds the account of a user, or null'),
  identifyTimeout: milliseconds(5_000, 100, 60_000),
  lifetime: milliseconds(3_600_000, 10_000, 2_592_000_000),
  revocations: optional(revocationFeed()),
  name: withDefault(text(), 'trusted-header'),
  clock: withDefault(clockKind(), systemClock),
  logger: optional(loggerKind()),
  dangerouslyTrustSharedPeers: flag(false),
})

/**
 * Takes the identity that a proxy with a login of its own puts into headers: `Remote-User`, `Tailscale-User-Login`,
 * `X-Auth-Request-User`, `X-authentik-username`.
 *
 * Only a header that comes once, not empty, under its own name and from one of `peers` counts. Every other one, also
 * under an alias such as `remote_user`, is removed from the request before any scheme or handler sees it.
 *
 * The identity is the edge's: on `required` paths the account that `identify` finds for it is let in, and a user
 * without an account gets 403; on `deferred` paths it is kept next to the principal of the protocol. It is ambient: it
 * counts only with an allowed Origin, as cookies do.
 *
 * @param options - `headers`, `peers` and `identify` are required
 * @returns the scheme, for `createGate({ schemes })`
 * @throws TypeError for options that would not protect: no peers, or peers that others than the proxy can send from
 * @example
 * trustedHeader({
 *   headers: 'authelia',
 *   peers: ['10.0.0.5'],
 *   identify: ({ email }) => (email === undefined ? null : services.accounts.byEmail(email)),
 *   revocations: services.revocations,
 * })
 */
export function trustedHeader(options: TrustedHeaderOptions): Scheme {
  const settings = trustedHeaderOptions.read(where, options)
  const { name, identify, identifyTimeout, lifetime, clock, revocations, logger } = settings
  const reader = createHeaderReader(where, settings.headers as TrustedHeaderOptions['headers'])
  const peers = compilePeers(where, settings.peers, settings.dangerouslyTrustSharedPeers, logger)

  function ask(identity: HeaderIdentity): MaybePromise<HeaderAccount | null | undefined> {
    const answer = identify(identity)
    if (!isPromiseLike(answer)) return answer
    return inTime(answer, identifyTimeout, clock, () => {
      throw new Error('no answer in time')
    })
  }

  return {
    name,
    yields: ['user'],
    principalSchemes: ['trusted-header', name],
    ambient: true,
    edge: true,
    // Twice, they are removed before duplicates are looked for.
    headers: [reader.user],
    ...(revocations === undefined ? {} : { revocations }),
    hidesHeaders(request) {
      const reading = reader.read(request, peers.whyNot)
      if (reading?.reason === undefined || reading.hidden.size === 0) return undefined
      return { names: reading.hidden, reason: reading.reason }
    },
    extract(request) {
      const identity = reader.read(request, peers.whyNot)?.identity
      if (identity === undefined) return undefined
      return { credential: { type: 'opaque', source: 'edge', name, value: identity }, location: reader.user }
    },
    verify(credential): MaybePromise<Verification> {
      if (credential.type !== 'opaque' || credential.source !== 'edge' || credential.name !== name) {
        return { outcome: 'rejected', code: 'invalid_credential', reason: 'not an identity of the proxy' }
      }
      const identity = credential.value as HeaderIdentity
      const conclude = (account: HeaderAccount | null | undefined): Verification =>
        concludeAbout(account, identity, clock.now() + lifetime)
      const failed = (cause: unknown): Verification => ({
        outcome: 'unavailable',
        reason: 'the account of a user of the proxy could not be looked up',
        cause,
      })
      try {
        const answer = ask(identity)
        return isPromiseLike(answer)
          ? Promise.resolve(answer).then(conclude).catch(failed)
          : andThen(answer, conclude)
      } catch (cause) {
        return failed(cause)
      }
    },
  }
}

/** Throws a `TypeError` for an invalid answer of `identify`: interpreting it could grant rights by mistake. */
function concludeAbout(
  account: HeaderAccount | null | undefined,
  identity: HeaderIdentity,
  latest: number,
): Verification {
  if (account === null || account === undefined) {
    return { outcome: 'rejected', code: 'unknown_identity', reason: 'no account here belongs to this user' }
  }
  const {
    id,
    scopes = [],
    roles = [],
    displayName,
    expiresAt = latest,
    attributes,
    disabled,
    disabledAt,
  } = account
  if (disabled === true || (disabledAt !== undefined && disabledAt !== null)) {
    return { outcome: 'rejected', code: 'account_disabled', reason: 'the account is disabled' }
  }
  if (typeof id !== 'string' || id === '') throw new TypeError('identify gave an `id` that is no string')
  if (!isNames(scopes)) throw new TypeError('identify gave `scopes` that are no array of names')
  if (!isNames(roles)) throw new TypeError('identify gave `roles` that are no array of names')
  if (!Number.isFinite(expiresAt)) {
    throw new TypeError('identify gave an `expiresAt` that is no number of milliseconds')
  }
  const principal: Principal = Object.freeze({
    kind: 'user',
    id,
    scheme: 'trusted-header',
    scopes: Object.freeze([...scopes]),
    roles: Object.freeze([...roles]),
    expiresAt: Math.min(expiresAt, latest),
    displayName: displayName ?? identity.displayName ?? identity.email ?? identity.user,
    // The proxy's last: an attribute of the application must not stand for what the proxy said.
    attributes: Object.freeze({
      ...attributes,
      user: identity.user,
      groups: identity.groups,
      ...(identity.email === undefined ? {} : { email: identity.email }),
    }),
  })
  return { outcome: 'authenticated', principal }
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== '')
}
