import { andThen, isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { MaybePromise, Verification } from '../../core/contract/credential.ts'
import { createVerifiedCache, type VerifiedEntry } from '../../core/live/verified-cache.ts'
import type { RevocationSelector } from '../../core/ports/revocations.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { faultOf, hasExpired, identityOf, isFromFuture, lowerAscii, subjectKey } from './claims.ts'
import { maxTokenLength, parseToken, type UnverifiedToken } from './compact-jws.ts'
import type { AccessCredential } from './extract.ts'
import { identifyPrincipal } from './identify.ts'
import type { KeyLookup, SigningKeys } from './keys.ts'
import type { Settings } from './options.ts'
import { refusalByCookies } from './other-cookies.ts'
import { notYet, type Refusal, rejected, unavailable } from './refusal.ts'
import { createSignatureCheck } from './signature.ts'
import type { AccessClaims, AccessPrincipal } from './types.ts'
import { createWorkPool } from './work-pool.ts'

type Answer = Verification<AccessPrincipal>
type FoundKey = Extract<KeyLookup, { outcome: 'found' }>['key']

/** A verified token, as remembered. Nothing in it can be presented as a credential. */
interface Verified extends VerifiedEntry {
  readonly outcome: 'verified'
  /**
   * Header and payload. They are compared with the token of a request, so the digest of the signature
   * suffices as key.
   */
  readonly signedPart: string
  readonly generation: number
  readonly principal: AccessPrincipal
  readonly email: string | undefined
  readonly subject: string
  readonly explicit: Answer
  readonly ambient: Answer
}

/** A token seen for the first time, with the answer that all its requests wait for. */
interface FirstSight {
  readonly signedPart: string
  readonly answer: Promise<Verified | Refusal>
}

/**
 * Signatures that WebCrypto verifies at a time. Enough to keep its threads busy. With more, it returns many
 * answers in one turn of the event loop, which blocks all other work.
 */
const signaturesInFlight = 8

/** Answer beyond the bounds: no verdict on the token, which may be tried again. */
const crowded = Object.freeze(unavailable('too many tokens wait for their verification', 1))

/**
 * Verifies tokens and answers with their principals.
 *
 * A token seen before costs a digest, a look-up and four comparisons. Only positive answers are remembered,
 * for at most a minute and for one generation of the keys. One verifier has one configuration. A refusal is
 * computed each time, because a remembered "unknown" could outlive its reason.
 */
export class TokenVerifier {
  readonly #settings: Settings
  readonly #keys: SigningKeys
  readonly #cache
  readonly #check
  readonly #signatures
  readonly #pending = new Map<string, FirstSight>()
  /**
   * First sights that wait for a fetch of the keys. They are counted apart from those with a key, so that
   * unknown key ids cannot crowd out the latter.
   */
  #keyless = 0
  #revocations = 0

  constructor(settings: Settings, keys: SigningKeys) {
    this.#settings = settings
    this.#keys = keys
    this.#cache = createVerifiedCache<Verified>(settings.cacheEntries)
    this.#check = createSignatureCheck(settings)
    const inFlight = Math.min(signaturesInFlight, settings.verificationsInFlight)
    this.#signatures = createWorkPool({ inFlight, queue: settings.verificationsInFlight - inFlight })
  }

  verify(credential: AccessCredential, dryRun: boolean): MaybePromise<Answer> {
    const token = credential.value
    if (token.length > maxTokenLength) return rejected('the token is longer than 32 KiB')
    if (credential.source === 'cookie' && credential.cookies !== undefined) {
      return rejected('two different CF_Authorization cookies')
    }
    // The digest covers the signature only: the signature makes the token a secret, and is a third of its
    // length. The rest is compared directly, so together they match only the same token. The search runs from
    // the front, because a search from the end is slow.
    const dot = token.indexOf('.', token.indexOf('.') + 1)
    const signedPart = token.slice(0, Math.max(dot, 0))
    const digest = sha256(token.slice(dot + 1))
    const known = this.#recall(digest, signedPart)
    const answer = known ?? this.#meet(token, digest, signedPart, dryRun)
    return isPromiseLike(answer)
      ? answer.then((settled) => this.#confirm(settled, credential))
      : this.#confirm(answer, credential)
  }

  /** Drops remembered answers, and answers in progress, for the principals that a revocation selects. */
  revoke(selector: RevocationSelector): void {
    this.#revocations++
    this.#cache.drop(selector)
    // The principals of these verifications are unknown so far. They go on for the requests that already
    // wait; a later request must not get an answer that was looked up before the revocation.
    this.#pending.clear()
  }

  /** Checks the other statements of the request about its identity. They may only refuse. */
  #confirm(verified: Verified | Refusal, credential: AccessCredential): MaybePromise<Answer> {
    if (verified.outcome !== 'verified') return verified
    const { emailHeader, cookies } = credential
    if (emailHeader !== undefined && emailHeader !== '' && emailHeader !== verified.email) {
      if (verified.email === undefined || lowerAscii(emailHeader) !== lowerAscii(verified.email)) {
        return rejected('the email header names another person than the token')
      }
    }
    const answer = credential.source === 'cookie' ? verified.ambient : verified.explicit
    if (cookies === undefined) return answer
    return andThen(
      refusalByCookies(cookies, verified.subject, (token) => this.#claimsOf(token)),
      (refusal) => refusal ?? answer,
    )
  }

  /**
   * The claims of a token that is valid now, by the current keys: nothing is fetched, mapped or remembered.
   */
  #claimsOf(token: string): MaybePromise<{ readonly claims: AccessClaims } | Refusal> {
    const parsed = parseToken(token)
    if (typeof parsed === 'string') return rejected(parsed)
    const fault = faultOf(parsed.payload, this.#settings)
    if (fault !== undefined) return rejected(fault)
    if (hasExpired(parsed.payload, this.#settings, this.#settings.clock.now())) {
      return rejected('the token has expired', 'expired_credential')
    }
    const found = this.#keys.find(parsed.kid, false)
    if (isPromiseLike(found) || found.outcome !== 'found') return rejected('no key at hand has this key id')
    return this.#signed(token, found.key)
  }

  #recall(digest: string, signedPart: string): MaybePromise<Verified | Refusal> | undefined {
    const now = this.#settings.clock.now()
    const entry = this.#cache.get(digest)
    if (
      entry !== undefined &&
      now < entry.until &&
      now >= entry.since &&
      entry.signedPart === signedPart &&
      // Order matters: `trusted` may start a refresh.
      this.#keys.trusted(now) &&
      entry.generation === this.#keys.generation
    ) {
      return entry
    }
    if (this.#pending.size === 0) return undefined
    const pending = this.#pending.get(digest)
    return pending?.signedPart === signedPart ? pending.answer : undefined
  }

  /**
   * Refuses at once a token that needs no signature check. Verifies any other token once for all requests
   * that bring it.
   */
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
    // An expired token does not justify a fetch, and `explain` must not use up the one fetch of this
    // cooldown.
    const expired = hasExpired(parsed.payload, this.#settings, this.#settings.clock.now())
    const lookup = this.#keys.find(parsed.kid, !dryRun && !expired)
    let key: MaybePromise<FoundKey | Refusal>
    if (isPromiseLike(lookup)) {
      if (this.#keyless >= this.#settings.verificationsInFlight) return crowded
      key = this.#awaitKey(lookup, expired, dryRun)
    } else {
      key = keyOf(lookup, expired, dryRun)
      if ('outcome' in key) return key
    }
    const answer = this.#verifyFirst(token, parsed, key, digest, signedPart, dryRun)
    if (dryRun) return answer
    const pending: FirstSight = { signedPart, answer }
    this.#pending.set(digest, pending)
    const forget = (): void => {
      if (this.#pending.get(digest) === pending) this.#pending.delete(digest)
    }
    answer.then(forget, forget)
    return answer
  }

  async #awaitKey(
    lookup: PromiseLike<KeyLookup>,
    expired: boolean,
    dryRun: boolean,
  ): Promise<FoundKey | Refusal> {
    this.#keyless++
    const found = await lookup
    this.#keyless--
    return keyOf(found, expired, dryRun)
  }

  async #verifyFirst(
    token: string,
    parsed: UnverifiedToken,
    key: MaybePromise<FoundKey | Refusal>,
    digest: string,
    signedPart: string,
    dryRun: boolean,
  ): Promise<Verified | Refusal> {
    const { clock } = this.#settings
    const found = await this.#signed(token, key)
    if ('outcome' in found) return found
    const identity = identityOf(found.claims)
    if (typeof identity === 'string') return rejected(identity)

    // Read the counter only now: `identify` sees every revocation before this.
    const seen = this.#revocations
    try {
      const principal = await identifyPrincipal(token, identity, digest, this.#settings)
      if ('outcome' in principal) return principal
      // If the key was removed during the verification, its signatures no longer count.
      const current = this.#keys.find(parsed.kid, false)
      if (isPromiseLike(current) || current.outcome === 'unavailable') {
        return unavailable('the signing keys cannot be fetched')
      }
      if (current.outcome !== 'found' || current.key !== found.key) {
        return rejected('the signing key was removed')
      }
      const verified = this.#verified(found.claims, digest, principal, signedPart)
      if (!dryRun && seen === this.#revocations && verified.until > clock.now()) this.#cache.set(verified)
      return verified
    } catch (error) {
      // The gate logs the error, without the token.
      return { outcome: 'unavailable', reason: 'the identity could not be looked up', cause: error }
    }
  }

  /** Lets jose verify a token once its key is available: returns its claims and the key that signed them. */
  async #signed(
    token: string,
    key: MaybePromise<FoundKey | Refusal>,
  ): Promise<{ readonly claims: AccessClaims; readonly key: FoundKey } | Refusal> {
    const { clock } = this.#settings
    try {
      const found = await key
      if ('outcome' in found) return found
      const verdict = await this.#signatures.run(() => this.#check(token, found, clock.now()))
      switch (verdict?.outcome) {
        case 'expired':
          return rejected('the token has expired', 'expired_credential')
        case 'early':
          return this.#notYet(token)
        case 'refused':
          return rejected(verdict.reason)
        case 'signed': {
          const { claims } = verdict
          const fault = faultOf(claims, this.#settings)
          if (fault !== undefined) return rejected(fault)
          return isFromFuture(claims, this.#settings, clock.now())
            ? this.#notYet(token)
            : { claims, key: found }
        }
        case undefined:
          return crowded
      }
    } catch (error) {
      return { outcome: 'unavailable', reason: 'the signature could not be verified', cause: error }
    }
  }

  #notYet(token: string): Refusal {
    const parsed = parseToken(token)
    const claims = typeof parsed === 'string' ? {} : parsed.payload
    return notYet(claims, this.#settings.clock.now(), this.#keys.behind)
  }

  #verified(claims: AccessClaims, digest: string, principal: AccessPrincipal, signedPart: string): Verified {
    const { clock, cacheTtl } = this.#settings
    const now = clock.now()
    return Object.freeze({
      outcome: 'verified',
      digest,
      // Copied: a slice would keep the whole token, signature included, in memory.
      signedPart: Buffer.from(signedPart, 'latin1').toString('latin1'),
      generation: this.#keys.generation,
      since: now,
      until: Math.min(principal.expiresAt ?? 0, now + cacheTtl),
      principal,
      email: principal.kind === 'user' ? (claims.email as string) : undefined,
      subject: subjectKey(claims),
      explicit: Object.freeze({
        outcome: 'authenticated',
        principal,
        ambient: principal.kind === 'user',
      }),
      ambient: Object.freeze({ outcome: 'authenticated', principal, ambient: true }),
    })
  }
}

/** The key that a look-up found, or its refusal of the token. */
function keyOf(lookup: KeyLookup, expired: boolean, dryRun: boolean): FoundKey | Refusal {
  switch (lookup.outcome) {
    case 'found':
      return lookup.key
    case 'unavailable':
      return unavailable('the signing keys cannot be fetched', lookup.retryAfter)
    case 'unknown':
      return rejected('no key of the issuer has this key id')
    case 'undecided': {
      // An expired token is refused under any key, so no key has to be found.
      if (expired) return rejected('no key of the issuer has this key id')
      const until = dryRun ? 'explaining fetches none' : 'they are fetched again only after a pause'
      return unavailable(`none of the signing keys known so far has this key id; ${until}`, lookup.retryAfter)
    }
  }
}
