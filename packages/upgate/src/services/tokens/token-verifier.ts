import type { MaybePromise, Verification } from '../../core/contract/credential.ts'
import { RevocationWindow } from '../../core/live/revocation-window.ts'
import { createVerifiedCache, type VerifiedEntry } from '../../core/live/verified-cache.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { RevocationSelector } from '../../core/ports/revocations.ts'
import { equalDigests } from '../../crypto/equal.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { parseToken, type TokenPrefix, tokenLength } from '../../crypto/tokens.ts'
import type { OwnRevocations } from '../revocations/revocations.ts'
import { rejected, storeFailed, unavailable } from './verdicts.ts'

/** Fields of a record that a token's secret is compared with. */
interface Digests {
  readonly digest: string
  readonly handedDigest?: string | undefined
  readonly previousDigest?: string | undefined
  readonly previousHandedDigest?: string | undefined
  readonly previousUntil?: number | undefined
}

export interface TokenVerifierOptions<R extends Digests> {
  readonly prefix: TokenPrefix
  /** Name for sentences: `API key`. */
  readonly noun: string
  readonly clock: Clock
  readonly revocations: OwnRevocations
  readonly cacheEntries: number
  readonly cacheAge: number
  readonly lookupsInFlight: number
  readonly lookupTimeout: number
  find(id: string): Promise<R | undefined>
  /** Called only after the secret was right, so its answer may say that the record expired or was revoked. */
  judge(record: R): MaybePromise<Verification>
}

export interface TokenVerifier {
  claims(token: string): boolean
  verify(token: string): MaybePromise<Verification>
  /** Forgets remembered verifications, so that a record with more rights takes effect. Ends nothing. */
  forget(selector: RevocationSelector): void
}

/** A verified token with its answer. */
interface RememberedToken extends VerifiedEntry {
  readonly verification: Verification
}

/** Look-ups repeated because a revocation arrived during the one before. */
const maxLookups = 3

/**
 * Creates the verifier of one kind of token: a cache, then one store look-up shared by all callers with the
 * same token.
 */
export function createTokenVerifier<R extends Digests>(options: TokenVerifierOptions<R>): TokenVerifier {
  const { prefix, noun, clock, revocations, cacheEntries, cacheAge, lookupsInFlight, lookupTimeout } = options
  const cache = createVerifiedCache<RememberedToken>(cacheEntries)
  const window = new RevocationWindow()
  revocations.subscribe(({ selector, reason }) => {
    window.record(selector, reason)
    cache.drop(selector)
  })
  const pending = new Map<string, Promise<Verification>>()
  let inFlight = 0
  const start = `${prefix}_`

  // An unknown id and a wrong secret get the same answer: a client without the secret must not learn which
  // ids exist.
  const invalid: Verification = rejected('invalid_credential', `no such ${noun}`)
  const wrongLength = rejected('invalid_credential', `the ${noun} does not have the length of one`)
  const superseded = rejected('revoked_credential', `the ${noun} was replaced by a new one`)
  const crowded = unavailable('too many look-ups are in flight', 1)
  const slow = unavailable('the store did not answer in time', 1)
  const overtaken = unavailable('revocations kept arriving during the verification', 1)

  async function lookUp(id: string, digest: string): Promise<Verification> {
    await revocations.ready()
    for (let i = 0; i < maxLookups; i++) {
      const before = window.now()
      const record = await options.find(id)
      if (record === undefined) return invalid
      const isOne = (...digests: readonly (string | undefined)[]): boolean =>
        digests.some((each) => each !== undefined && equalDigests(each, digest))
      const replaced = !isOne(record.digest, record.handedDigest)
      if (replaced && !isOne(record.previousDigest, record.previousHandedDigest)) return invalid
      const judged = await options.judge(record)
      const answer = replaced ? withinOverlap(judged, record.previousUntil ?? 0) : judged
      if (answer.outcome !== 'authenticated') return answer
      const { principal } = answer
      // A revocation that arrived during the look-up wins: the record that was read may be older than the
      // revocation.
      if (window.since(before, principal) !== undefined) continue
      const since = clock.now()
      const until = Math.min(since + cacheAge, principal.expiresAt ?? Number.POSITIVE_INFINITY)
      if (until > since) cache.set({ digest, verification: answer, principal, since, until })
      return answer
    }
    return overtaken
  }

  /**
   * Answer for the token before the last rotation: the same as for the new one, but only until the overlap
   * ends.
   */
  function withinOverlap(answer: Verification, until: number): Verification {
    if (answer.outcome !== 'authenticated') return answer
    if (clock.now() >= until) return superseded
    const expiresAt = Math.min(until, answer.principal.expiresAt ?? Number.POSITIVE_INFINITY)
    return Object.freeze({ ...answer, principal: Object.freeze({ ...answer.principal, expiresAt }) })
  }

  function miss(token: string, digest: string): MaybePromise<Verification> {
    const running = pending.get(digest)
    if (running !== undefined) return running
    const parsed = parseToken(prefix, token)
    if ('problem' in parsed) return rejected('invalid_credential', `the ${noun} ${parsed.problem}`)
    if (inFlight >= lookupsInFlight) return crowded
    inFlight++
    const answer = new Promise<Verification>((resolve) => {
      const forget = (): void => {
        if (pending.get(digest) === answer) pending.delete(digest)
      }
      const timer = clock.setTimer(lookupTimeout, () => {
        forget()
        resolve(slow)
      })
      // Any failure of the look-up is no verdict on the credential.
      const settle = (verification: Verification): void => {
        inFlight--
        timer.cancel()
        forget()
        resolve(verification)
      }
      lookUp(parsed.id, digest).then(settle, (error: unknown) => settle(storeFailed(error)))
    })
    pending.set(digest, answer)
    return answer
  }

  return {
    claims: (token) => token.startsWith(start),
    verify(token) {
      if (token.length !== tokenLength) {
        const parsed = parseToken(prefix, token)
        return 'problem' in parsed
          ? rejected('invalid_credential', `the ${noun} ${parsed.problem}`)
          : wrongLength
      }
      const digest = sha256(token)
      const entry = cache.get(digest)
      if (entry !== undefined) {
        const now = clock.now()
        if (now < entry.until && now >= entry.since) return entry.verification
        cache.delete(digest)
      }
      return miss(token, digest)
    },
    forget: (selector) => cache.drop(selector),
  }
}
