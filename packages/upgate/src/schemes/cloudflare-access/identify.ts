import { inTime } from '../../core/async/in-time.ts'
import { andThen, isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { MaybePromise } from '../../core/contract/credential.ts'
import { audiencesOf } from './claims.ts'
import { askOnline } from './online.ts'
import type { Settings } from './options.ts'
import { principalOf } from './principal.ts'
import { type Refusal, rejected, unavailable } from './refusal.ts'
import type { AccessIdentity, AccessPrincipal, IdentifiedPrincipal } from './types.ts'

/**
 * Maps the identity of a verified token to a principal, or refuses it. Throws, or rejects with, the errors of
 * `identify` and `notBefore`.
 *
 * @param digest - SHA-256 of the signature, which names the credential
 */
export function identifyPrincipal(
  token: string,
  identity: AccessIdentity,
  digest: string,
  settings: Settings,
): MaybePromise<AccessPrincipal | Refusal> {
  const { online, clock } = settings
  const exp = (identity.claims.exp as number) * 1_000
  const facts = {
    scheme: settings.name,
    credentialId: `cfa_${digest.slice(0, 16)}`,
    // Sockets end at `exp`; a socket that begins within the tolerance after `exp` ends with the tolerance.
    audiences: audiencesOf(identity.claims.aud, settings.audience),
    expiresAt: clock.now() < exp ? exp : exp + settings.clockTolerance,
  }
  const known = (): MaybePromise<AccessPrincipal | Refusal> =>
    andThen(lookUp(identity, settings), (account) => {
      if (account === null || account === undefined) {
        return rejected(`no account here belongs to this ${identity.kind}`, 'unknown_identity')
      }
      if (account.disabled === true) return rejected('the account is disabled', 'account_disabled')
      const principal = principalOf(identity, account, facts)
      if ((principal.expiresAt ?? 0) <= clock.now()) {
        return rejected('the account has expired', 'expired_credential')
      }
      const { iat } = identity.claims
      const own = counts(principal, account.notBefore, iat)
      if ('outcome' in own || settings.notBefore === undefined) return own
      return andThen(settings.notBefore(principal), (limit) => counts(principal, limit, iat))
    })
  // A look-up that never answers must not keep all requests with this token waiting without end.
  const map = (): MaybePromise<AccessPrincipal | Refusal> => {
    const answer = known()
    if (!isPromiseLike(answer)) return answer
    return inTime(answer, settings.identifyTimeout, clock, () => {
      throw new Error('no answer in time')
    })
  }
  if (online === undefined || identity.kind !== 'user') return map()
  return askOnline(token, identity, online, settings).then((answer) => {
    if (answer === 'ended') return rejected('the Access login has ended', 'revoked_credential')
    return answer === 'confirmed' ? map() : unavailable('the Access login could not be confirmed')
  })
}

function lookUp(
  identity: AccessIdentity,
  { services, identify }: Settings,
): MaybePromise<IdentifiedPrincipal | null | undefined> {
  const grant = identity.kind === 'service' ? services.get(identity.commonName) : undefined
  if (grant !== undefined) return grant
  if (identify !== undefined) return identify(identity)
  return identity.kind === 'user' ? {} : null
}

function counts(
  principal: AccessPrincipal,
  notBefore: number | undefined,
  iat: unknown,
): AccessPrincipal | Refusal {
  if (notBefore === undefined) return principal
  if (typeof notBefore !== 'number' || Number.isNaN(notBefore)) {
    throw new TypeError('notBefore gave something that is no number of milliseconds')
  }
  // A token without `iat` cannot prove that it was issued later.
  return typeof iat === 'number' && iat * 1_000 >= notBefore
    ? principal
    : rejected('tokens of this principal issued so early were revoked', 'revoked_credential')
}
