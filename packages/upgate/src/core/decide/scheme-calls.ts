import { atOnce, isPromiseLike } from '../async/maybe-promise.ts'
import type { Moment } from '../contract/connections.ts'
import type {
  Credential,
  Extraction,
  MaybePromise,
  Scheme,
  Verification,
  VerifyContext,
} from '../contract/credential.ts'
import type { Refused } from '../contract/decision.ts'
import type { Principal } from '../contract/principal.ts'
import { refuse } from '../contract/refusals.ts'
import type { AuthRequest } from '../contract/request.ts'
import type { CompiledRule } from '../contract/rules.ts'
import { type FaultLog, faultLine } from '../faults/fault-log.ts'
import type { Secrets } from '../faults/secrets.ts'
import type { RevocationWindow } from '../live/revocation-window.ts'
import type { Clock } from '../ports/clock.ts'
import type { Trace } from './trace.ts'

/** Retries of a verification that a revocation overtook. */
const maxReverifications = 2

/**
 * Calls what schemes implement.
 *
 * An exception, and an answer that is none, become `unavailable`: they are logged, or shown where a request is explained,
 * and let nothing in. A revocation that arrives during a verification wins over its answer.
 */
export class SchemeCalls<P extends Principal> {
  readonly #window: RevocationWindow
  readonly #clock: Clock
  readonly #faults: FaultLog

  constructor(window: RevocationWindow, clock: Clock, faults: FaultLog) {
    this.#window = window
    this.#clock = clock
    this.#faults = faults
  }

  /** The moment before something is proved. */
  now(): Moment {
    return this.#window.now()
  }

  /** The credential that a scheme finds in a request; `failed` where the scheme broke on it. */
  extract(
    scheme: Scheme<P>,
    request: AuthRequest,
    trace: Trace | undefined,
  ): Extraction | undefined | 'failed' {
    try {
      const found = scheme.extract?.(request) ?? undefined
      // This order spares every request a look for `then`, which no extraction has.
      if (found === undefined) return undefined
      if (typeof found.location === 'string' && typeof found.credential === 'object') return found
      atOnce('extract', found)
      throw new TypeError('`extract` must answer with a `credential` and its `location`, or `undefined`')
    } catch (error) {
      // A scheme that breaks on a request must not turn it into one without credentials.
      this.#threw(scheme, 'extract', error, undefined, request, trace)
      return 'failed'
    }
  }

  /** The `Set-Cookie` line that removes a scheme's credential. A cookie that cannot be removed counts as none all the same. */
  removalOf(scheme: Scheme<P>, request: AuthRequest, trace: Trace | undefined): string | undefined {
    try {
      const removal = atOnce('clearCookie', scheme.clearCookie?.(request)) ?? undefined
      if (removal !== undefined && (typeof removal !== 'string' || /[^\t\x20-\x7e\x80-\xff]/.test(removal))) {
        throw new TypeError(
          '`clearCookie` must answer with the value of a `Set-Cookie` header, or `undefined`',
        )
      }
      return removal
    } catch (error) {
      this.#threw(scheme, 'clearCookie', error, undefined, request, trace)
      return undefined
    }
  }

  /** Whether a scheme reads a credential in band, or the refusal where it broke on it. */
  claims(scheme: Scheme<P>, credential: Credential, rule: CompiledRule): boolean | Refused {
    try {
      return Boolean(atOnce('claims', scheme.claims?.(credential)))
    } catch (error) {
      this.#threw(scheme, 'claims', error, credential)
      return failed(scheme, 'claims', rule)
    }
  }

  /**
   * Has a scheme verify a credential; failures of the scheme are `unavailable`, and a revocation during the verification wins.
   *
   * @param request - the one it came with; absent in band
   */
  verify(
    scheme: Scheme<P>,
    credential: Credential,
    context: VerifyContext,
    request?: AuthRequest,
    attempt = 0,
  ): MaybePromise<Verification<P>> {
    const before = this.#window.now()
    try {
      const answer = scheme.verify(credential, context)
      if (isAuthenticated(answer)) return answer
      if (!isPromiseLike(answer)) return this.#checked(scheme, answer, credential, context, request)
      return this.#verifyLater(answer, scheme, credential, context, request, before, attempt)
    } catch (error) {
      return this.#broken(scheme, 'verify', error, credential, context, request)
    }
  }

  #verifyLater(
    answer: PromiseLike<Verification<P>>,
    scheme: Scheme<P>,
    credential: Credential,
    context: VerifyContext,
    request: AuthRequest | undefined,
    before: Moment,
    attempt: number,
  ): Promise<Verification<P>> {
    // Resolved once more: whatever else has a `then` need not keep to what promises promise.
    return Promise.resolve(answer).then(
      (value) => {
        const settled = this.#checked(scheme, value, credential, context, request)
        if (
          settled.outcome !== 'authenticated' ||
          this.#window.since(before, settled.principal) === undefined
        )
          return settled
        if (attempt < maxReverifications)
          return this.verify(scheme, credential, context, request, attempt + 1)
        return {
          outcome: 'unavailable',
          reason: 'revocations kept arriving during the verification',
          retryAfter: 1,
        }
      },
      (error: unknown) => this.#broken(scheme, 'verify', error, credential, context, request),
    )
  }

  /** Calls what a verification left to be done once the rule admits its principal. */
  issue(
    scheme: Scheme<P>,
    issue: () => MaybePromise<Verification<P>>,
    credential: Credential,
    context: VerifyContext,
  ): MaybePromise<Verification<P>> {
    const broken = (error: unknown): Verification<P> =>
      this.#broken(scheme, 'issue', error, credential, context)
    try {
      const answer = issue()
      if (!isPromiseLike(answer)) return this.#checked(scheme, answer, credential, context)
      return Promise.resolve(answer).then(
        (value) => this.#checked(scheme, value, credential, context),
        broken,
      )
    } catch (error) {
      return broken(error)
    }
  }

  /** Checks an answer: an exception that a scheme caught counts as one, and so does a missing answer. */
  #checked(
    scheme: Scheme<P>,
    answer: Verification<P>,
    credential: Credential,
    context: VerifyContext,
    request?: AuthRequest,
  ): Verification<P> {
    try {
      switch (answer.outcome) {
        case 'authenticated':
          if (typeof answer.principal.id === 'string') return answer
          break
        case 'rejected':
        case 'throttled':
          return answer
        case 'unavailable':
          return 'cause' in answer
            ? this.#broken(scheme, 'verify', answer.cause, credential, context, request, answer)
            : answer
      }
    } catch {}
    const error = new TypeError('`verify` answered with nothing that is a verification')
    return this.#broken(scheme, 'verify', error, credential, context, request)
  }

  #broken(
    scheme: Scheme<P>,
    hook: string,
    error: unknown,
    credential: Credential,
    context: VerifyContext,
    request?: AuthRequest,
    answer?: { readonly reason: string; readonly retryAfter?: number | undefined },
  ): Verification<P> {
    const reason = answer?.reason ?? `the scheme failed in \`${hook}\``
    const retryAfter = answer?.retryAfter
    if (!context.dryRun) {
      this.#threw(scheme, hook, error, credential, request)
      return { outcome: 'unavailable', reason, retryAfter }
    }
    const line = faultLine(error, secretsOf(request, credential))
    return { outcome: 'unavailable', reason: `${reason}: ${line}`, retryAfter }
  }

  /** Logs what a scheme threw; explaining shows it instead. */
  #threw(
    scheme: Scheme<P>,
    hook: string,
    error: unknown,
    credential: Credential | undefined,
    request?: AuthRequest,
    trace?: Trace,
  ): void {
    const secrets = secretsOf(request, credential)
    if (trace === undefined) {
      const place = { scheme: scheme.name, hook }
      this.#faults.report({ message: 'A scheme threw.', place, error, secrets })
    } else {
      trace.add(`scheme ${scheme.name}`, `failed in \`${hook}\`: ${faultLine(error, secrets)}`)
    }
  }

  /** The refusal a verification amounts to, or `undefined` when it is a principal that still counts. */
  refusalOf(answer: Verification<P>, rule: CompiledRule | undefined, scheme: Scheme<P>): Refused | undefined {
    // Small, so that engines inline it: it is on the way of every request that is let in.
    if (answer.outcome !== 'authenticated') return refusalOfFailure(answer, rule, scheme.name)
    const { expiresAt } = answer.principal
    return expiresAt !== undefined && expiresAt <= this.#clock.now()
      ? refuse('expired_credential', { rule })
      : undefined
  }
}

function refusalOfFailure(
  answer: Exclude<Verification, { outcome: 'authenticated' }>,
  rule: CompiledRule | undefined,
  scheme: string,
): Refused {
  switch (answer.outcome) {
    case 'rejected':
      return refuse(answer.code, {
        rule,
        facts: answer.details,
        retryAfter: answer.retryAfter,
        reason: `The scheme ${scheme} says: ${answer.reason}.`,
        clocksDiffer: answer.clocksDiffer,
      })
    case 'unavailable':
      return refuse('unavailable', {
        rule,
        retryAfter: answer.retryAfter,
        scheme,
        note: `The scheme could not answer: ${answer.reason}.`,
      })
    case 'throttled':
      return refuse('too_many_failures', { rule, retryAfter: answer.retryAfter })
  }
}

/** Whether an answer admits a principal at once: the most common one, and in need of no further check. */
function isAuthenticated<P extends Principal>(
  answer: MaybePromise<Verification<P>>,
): answer is Verification<P> {
  const given = answer as { outcome?: unknown; principal?: { id?: unknown } | null } | null | undefined
  return given?.outcome === 'authenticated' && typeof given.principal?.id === 'string'
}

/** The credentials that an exception may quote. */
export function secretsOf(
  request: AuthRequest | undefined,
  credential?: Credential | undefined,
): (secrets: Secrets) => void {
  return (secrets) => {
    if (request !== undefined) secrets.addRequest(request)
    secrets.addCredential(credential)
  }
}

/** The refusal where a scheme broke before anything could be verified. */
export function failed(scheme: Scheme<never> | Scheme, hook: string, rule?: CompiledRule): Refused {
  return refuse('unavailable', {
    rule,
    scheme: scheme.name,
    note: `The scheme could not answer: it failed in \`${hook}\`.`,
  })
}
