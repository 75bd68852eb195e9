import { andThen, isPromiseLike } from '../async/maybe-promise.ts'
import type { Moment } from '../contract/connections.ts'
import type { MaybePromise, Scheme, Verification } from '../contract/credential.ts'
import type { Defer, InBand, Refused, Resumption } from '../contract/decision.ts'
import type { Principal } from '../contract/principal.ts'
import { refuse } from '../contract/refusals.ts'
import { compiledRuleOf } from '../contract/rules.ts'
import type { FaultLog } from '../faults/fault-log.ts'
import { narrow } from './authorize.ts'
import { refuseUndecided, whyNotAdmitted } from './fail-closed.ts'
import type { SchemeCalls } from './scheme-calls.ts'

/** The parts of a {@link Resumer}. */
export interface ResumerParts<P extends Principal> {
  readonly calls: SchemeCalls<P>
  readonly schemes: readonly Scheme<P>[]
  readonly faults: FaultLog
}

/** Goes on with a deferred decision, once the client has sent its credential in the protocol. */
export class Resumer<P extends Principal> {
  readonly #parts: ResumerParts<P>

  constructor(parts: ResumerParts<P>) {
    this.#parts = parts
  }

  resume(deferred: Defer<P>, inBand: InBand): MaybePromise<Resumption<P>> {
    const failed = (error: unknown): Refused =>
      refuseUndecided(this.#parts.faults, error, undefined, inBand?.credential)
    try {
      const resumption = this.#resume(deferred, inBand)
      return isPromiseLike(resumption) ? resumption.then(undefined, failed) : resumption
    } catch (error) {
      return failed(error)
    }
  }

  #resume(deferred: Defer<P>, inBand: InBand): MaybePromise<Resumption<P>> {
    const { circumstances } = deferred
    const rule = compiledRuleOf(deferred.rule)
    const { calls, schemes } = this.#parts
    const asOf = calls.now()
    const { credential } = inBand
    for (const scheme of schemes) {
      if (scheme.claims === undefined) continue
      if (rule.schemes !== undefined && !rule.schemes.includes(scheme.name)) continue
      const claimed = calls.claims(scheme, credential, rule)
      if (claimed === false) continue
      if (claimed !== true) return claimed
      return andThen(calls.verify(scheme, credential, circumstances), (verification) =>
        withFailures(this.#admit(deferred, scheme, verification, inBand, asOf), verification),
      )
    }
    return refuse('invalid_credential', { rule })
  }

  #admit(
    deferred: Defer<P>,
    scheme: Scheme<P>,
    verification: Verification<P>,
    inBand: InBand,
    asOf: Moment,
  ): MaybePromise<Resumption<P>> {
    const { httpPrincipal, circumstances } = deferred
    const rule = compiledRuleOf(deferred.rule)
    const { calls } = this.#parts
    const refused = calls.refusalOf(verification, rule, scheme)
    if (refused !== undefined || verification.outcome !== 'authenticated')
      return refused ?? refuse('unavailable', { rule })
    const { principal: verified, issued, issue } = verification
    if (
      httpPrincipal !== undefined &&
      (httpPrincipal.id !== verified.id || httpPrincipal.kind !== verified.kind)
    ) {
      return refuse('principal_mismatch', { rule, principal: verified })
    }
    const reason = whyNotAdmitted(
      this.#parts,
      rule,
      verified,
      deferred.edgePrincipal,
      scheme,
      undefined,
      inBand.credential,
    )
    if (reason !== undefined) return refuse(reason.code, { ...reason, rule, principal: verified })
    if (issue !== undefined) {
      return andThen(calls.issue(scheme, issue, inBand.credential, circumstances), (final) => {
        // Checked again as it is now: the principal that is let in must be the one that was checked.
        const settled = final.outcome === 'authenticated' ? withoutIssue(final) : final
        return this.#admit(deferred, scheme, settled, inBand, asOf)
      })
    }
    const { principal, dropped } = narrow(verified, inBand.declared)
    return { outcome: 'allow', principal, edgePrincipal: deferred.edgePrincipal, asOf, dropped, issued }
  }
}

/** In every case, a credential of the attempt that did not count is a failure of the address. */
function withFailures<P extends Principal>(
  resumption: MaybePromise<Resumption<P>>,
  verification: Verification<P>,
): MaybePromise<Resumption<P>> {
  const alsoFailed = 'alsoFailed' in verification ? verification.alsoFailed : undefined
  if (alsoFailed === undefined) return resumption
  return andThen(resumption, (settled): Resumption<P> => ({ ...settled, alsoFailed }))
}

function withoutIssue<P extends Principal>(
  verification: Extract<Verification<P>, { outcome: 'authenticated' }>,
): Verification<P> {
  const { issue: _, ...settled } = verification
  return settled
}
