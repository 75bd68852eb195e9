import type { KeyObject } from 'node:crypto'
import type { MaybePromise, RejectionCode, Verification } from '../../core/credential.ts'
import { andThen, isPromiseLike } from '../../core/maybe-promise.ts'
import type { RevocationSelector } from '../../core/ports/revocations.ts'
import { selects } from '../../core/ports/revocations.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { faultOf, identityOf, lowerAscii, subjectKey, timeFaultOf } from './claims.ts'
import { isSignedBy, maxTokenLength, parseToken, type UnverifiedToken } from './compact-jws.ts'
import type { AccessCredential } from './extract.ts'
import { inTime } from './in-time.ts'
import type { SigningKeys } from './keys.ts'
import { askOnline } from './online.ts'
import type { Settings } from './options.ts'
import { principalOf } from './principal.ts'
import { TokenCache } from './token-cache.ts'
import type { AccessIdentity, AccessPrincipal, IdentifiedPrincipal } from './types.ts'

type Answer = Verification<AccessPrincipal>
type Refusal = Exclude<Answer, { outcome: 'authenticated' }>

/** A verified token, as remembered. Nothing in it can be presented as a credential. */
interface Verified {
  readonly outcome: 'verified'
  /** Header and payload: compared with what comes in, so that the digest of the signature is key enough. */
  readonly signedPart: string
  readonly generation: number
  /** When it was verified; a clock that was set back must not stretch its life. */
  readonly since: number
  /** Until when it may be used again. Milliseconds since the epoch, both. */
  readonly until: number
  readonly principal: AccessPrincipal
  readonly email: string | undefined
  readonly subject: string
  readonly explicit: Answer
  readonly ambient: Answer
}

/**
 * Says whose a token is.
 *
 * A token seen before costs a digest, a look-up and four comparisons. Remembered are positive answers only, for at
 * most a minute, bound to the generation of the keys, and one verifier has one configuration. Refusals are computed
 * again each time: they cost less than a signature, and a remembered "unknown" could outlive its reason.
 */
export class TokenVerifier {
  readonly #settings: Settings
  readonly #keys: SigningKeys
  readonly #cache: TokenCache<Verified>
  readonly #pending = new Map<string, { signedPart: string; answer: PromiseLike<Verified | Refusal> }>()
  #revocations = 0

  constructor(settings: Settings, keys: SigningKeys) {
    this.#settings = settings
    this.#keys = keys
    this.#cache = new TokenCache(settings.cacheEntries)
  }

  verify(credential: AccessCredential, dryRun: boolean): MaybePromise<Answer> {
    const token = credential.value
    if (token.length > maxTokenLength) return rejected('the token is longer than 32 KiB')
    if (credential.source === 'cookie' && credential.cookies !== undefined) {
      return rejected('two different CF_Authorization cookies')
    }
    // The digest covers the signature only, which is what makes the token a secret, and a third of its length; the rest
    // is compared as it is. Together they are equal only for the same token. Found from the front: backwards is slow.
    const dot = token.indexOf('.', token.indexOf('.') + 1)
    const signedPart = token.slice(0, Math.max(dot, 0))
    const digest = sha256(token.slice(dot + 1))
    const known = this.#recall(digest, signedPart)
    const answer = known ?? this.#meet(token, digest, signedPart, dryRun)
    return isPromiseLike(answer)
      ? answer.then((settled) => confirm(settled, credential))
      : confirm(answer, credential)
  }

  /** Drops what is remembered of the principals a revocation concerns. */
  revoke(selector: RevocationSelector): void {
    this.#revocations++
    this.#cache.deleteWhere(({ principal }) => selects(selector, principal))
  }

  #recall(digest: string, signedPart: string): MaybePromise<Verified | Refusal> | undefined {
    const now = this.#settings.clock.now()
    const entry = this.#cache.get(digest)
    if (
      entry !== undefined &&
      now < entry.until &&
      now >= entry.since &&
      entry.signedPart === signedPart &&
      // Order matters: `trusted` may notice that it is time to refresh.
      this.#keys.trusted(now) &&
      entry.generation === this.#keys.generation
    ) {
      return entry
    }
    if (this.#pending.size === 0) return undefined
    const pending = this.#pending.get(digest)
    return pending?.signedPart === signedPart ? pending.answer : undefined
  }

  #meet(
    token: string,
    digest: string,
    signedPart: string,
    dryRun: boolean,
  ): MaybePromise<Verified | Refusal> {
    const parsed = parseToken(token)
    if (typeof parsed === 'string') return rejected(parsed)
    const fault = faultOf(parsed.payload, this.#settings)
    if (fault !== undefined) return rejected(fault)
    // An expired token is not worth a fetch, and explaining must not use up the one of this cooldown.
    const expired = timeFaultOf(parsed.payload, this.#settings, this.#settings.clock.now()) === 'expired'
    const found = this.#keys.find(parsed.kid, !dryRun && !expired)
    const judge = (lookup: Awaited<typeof found>): MaybePromise<Verified | Refusal> => {
      // Whoever signed it, an expired token will not do: nothing has to be found out.
      if (lookup.outcome === 'unknown' || (lookup.outcome === 'undecided' && expired)) {
        return rejected('no key of the issuer has this key id')
      }
      if (lookup.outcome === 'undecided') {
        const until = dryRun ? 'explaining fetches none' : 'they are fetched again only after a pause'
        return unavailable(
          `none of the signing keys known so far has this key id; ${until}`,
          lookup.retryAfter,
        )
      }
      if (lookup.outcome === 'unavailable') {
        return unavailable('the signing keys cannot be fetched', lookup.retryAfter)
      }
      return this.#judge(token, parsed, lookup.key, digest, signedPart, dryRun)
    }
    // Many requests may have waited for the keys with the same token: the first one has done the work.
    return isPromiseLike(found)
      ? found.then((lookup) => this.#recall(digest, signedPart) ?? judge(lookup))
      : judge(found)
  }

  #judge(
    token: string,
    parsed: UnverifiedToken,
    key: KeyObject,
    digest: string,
    signedPart: string,
    dryRun: boolean,
  ): MaybePromise<Verified | Refusal> {
    const { clock, logger } = this.#settings
    if (!isSignedBy(parsed, key)) return rejected('the signature does not match')
    // Only now: what is said about time before the signature verified would be said about anybody's text.
    const timeFault = timeFaultOf(parsed.payload, this.#settings, clock.now())
    if (timeFault === 'expired') return rejected('the token has expired', 'expired_credential')
    if (timeFault === 'early') return rejected('the token is not valid yet (nbf, iat)')
    const identity = identityOf(parsed.payload)
    if (typeof identity === 'string') return rejected(identity)

    const failed = (error: unknown): Refusal => {
      logger?.error('A Cloudflare Access identity could not be mapped to a principal.', {
        error: error instanceof Error ? error.message : 'unknown error',
      })
      return unavailable('the identity could not be looked up')
    }
    const seen = this.#revocations
    const remember = (principal: AccessPrincipal | Refusal): Verified | Refusal => {
      if ('outcome' in principal) return principal
      // Removed while the account was looked up: what it signed counts no more.
      const current = this.#keys.find(parsed.kid, false)
      if (isPromiseLike(current) || current.outcome === 'unavailable') {
        return unavailable('the signing keys cannot be fetched')
      }
      if (current.outcome !== 'found' || current.key !== key) return rejected('the signing key was removed')
      const verified = this.#verified(parsed, identity, principal, signedPart)
      if (!dryRun && seen === this.#revocations && verified.until > clock.now())
        this.#cache.set(digest, verified)
      return verified
    }
    try {
      const principal = this.#principal(token, parsed, identity, digest)
      if (!isPromiseLike(principal)) return remember(principal)
      const answer = principal.then(remember).then(undefined, failed)
      if (dryRun) return answer
      const entry = { signedPart, answer }
      this.#pending.set(digest, entry)
      return answer.then((settled) => {
        if (this.#pending.get(digest) === entry) this.#pending.delete(digest)
        return settled
      })
    } catch (error) {
      return failed(error)
    }
  }

  #principal(
    token: string,
    parsed: UnverifiedToken,
    identity: AccessIdentity,
    digest: string,
  ): MaybePromise<AccessPrincipal | Refusal> {
    const settings = this.#settings
    const { online, clock } = settings
    const exp = (parsed.payload.exp as number) * 1_000
    const facts = {
      scheme: settings.name,
      credentialId: `cfa_${digest.slice(0, 16)}`,
      // Sockets end at `exp`; one that begins within the tolerance after it ends with the tolerance.
      expiresAt: clock.now() < exp ? exp : exp + settings.clockTolerance,
    }
    const known = (): MaybePromise<AccessPrincipal | Refusal> =>
      andThen(this.#identify(identity), (account) => {
        if (account === null || account === undefined) {
          return rejected(`nobody here is known as this ${identity.kind}`, 'unknown_identity')
        }
        if (account.disabled === true) return rejected('the account is disabled', 'account_disabled')
        const principal = principalOf(identity, account, facts)
        if ((principal.expiresAt ?? 0) <= clock.now()) {
          return rejected('the account has expired', 'expired_credential')
        }
        const { iat } = parsed.payload
        const own = counts(principal, account.notBefore, iat)
        if ('outcome' in own || settings.notBefore === undefined) return own
        return andThen(settings.notBefore(principal), (limit) => counts(principal, limit, iat))
      })
    // One that never answers must not keep everybody with this token waiting for ever.
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

  #identify(identity: AccessIdentity): MaybePromise<IdentifiedPrincipal | null | undefined> {
    const { services, identify } = this.#settings
    const grant = identity.kind === 'service' ? services.get(identity.commonName) : undefined
    if (grant !== undefined) return grant
    if (identify !== undefined) return identify(identity)
    return identity.kind === 'user' ? {} : null
  }

  #verified(
    parsed: UnverifiedToken,
    identity: AccessIdentity,
    principal: AccessPrincipal,
    signedPart: string,
  ): Verified {
    const { clock, cacheTtl } = this.#settings
    const now = clock.now()
    return Object.freeze({
      outcome: 'verified',
      // Copied: a slice would keep the whole token, signature included, in memory.
      signedPart: Buffer.from(signedPart, 'latin1').toString('latin1'),
      generation: this.#keys.generation,
      since: now,
      until: Math.min(principal.expiresAt ?? 0, now + cacheTtl),
      principal,
      email: identity.email,
      subject: subjectKey(parsed.payload),
      explicit: Object.freeze({
        outcome: 'authenticated',
        principal,
        ambient: identity.kind === 'user',
      }),
      ambient: Object.freeze({ outcome: 'authenticated', principal, ambient: true }),
    })
  }
}

/** Checks what else the request says about who it is, which may only refuse. */
function confirm(verified: Verified | Refusal, credential: AccessCredential): Answer {
  if (verified.outcome !== 'verified') return verified
  const { emailHeader, cookies } = credential
  if (emailHeader !== undefined && emailHeader !== '' && emailHeader !== verified.email) {
    if (verified.email === undefined || lowerAscii(emailHeader) !== lowerAscii(verified.email)) {
      return rejected('the email header names somebody else than the token')
    }
  }
  if (cookies !== undefined) {
    for (const cookie of cookies) {
      const other = parseToken(cookie)
      if (typeof other !== 'string' && subjectKey(other.payload) !== verified.subject) {
        return rejected('header and cookie are of different subjects')
      }
    }
  }
  return credential.source === 'cookie' ? verified.ambient : verified.explicit
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
  // A token that does not say when it was issued cannot show that it was later.
  return typeof iat === 'number' && iat * 1_000 >= notBefore
    ? principal
    : rejected('tokens of this principal issued so early were revoked', 'revoked_credential')
}

function rejected(reason: string, code: RejectionCode = 'invalid_credential'): Refusal {
  return { outcome: 'rejected', code, reason }
}

function unavailable(reason: string, retryAfter?: number): Refusal {
  return { outcome: 'unavailable', reason, retryAfter }
}
