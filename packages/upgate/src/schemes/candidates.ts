import { andThen } from '../core/async/maybe-promise.ts'
import type { MaybePromise, Verification } from '../core/contract/credential.ts'
import type { Principal } from '../core/contract/principal.ts'

/**
 * Verifies several cookies of one name, and answers for their common principal.
 *
 * Sites of a parent domain, and other programs on the same host, can set a cookie with our name. A cookie
 * that does not verify is ignored, so that it cannot lock a user out. The cookies that verify must belong to
 * one principal. If they do not, the server cannot tell which login the user made, and counting one of them
 * would let an attacker log the user in to the attacker's account. None is removed then, because a removal
 * would reach only our own cookie.
 *
 * @param values - in the order in which the browser sent them, at least two
 * @returns the answer for the last value if they agree: the cookie with the shortest path
 */
export function verifyCandidates<V, P extends Principal>(
  values: readonly V[],
  verify: (value: V) => MaybePromise<Verification<P>>,
): MaybePromise<Verification<P>> {
  const next = (at: number, answers: readonly Verification<P>[]): MaybePromise<Verification<P>> => {
    const value = values[at]
    if (value === undefined) return together(answers)
    return andThen(verify(value), (answer) => {
      // A cookie that cannot be judged now may belong to any principal: counting another one would be a
      // guess.
      const open = answer.outcome === 'unavailable' || answer.outcome === 'throttled'
      return open ? answer : next(at + 1, [...answers, answer])
    })
  }
  return next(0, [])
}

function together<P extends Principal>(answers: readonly Verification<P>[]): Verification<P> {
  let good: Extract<Verification<P>, { outcome: 'authenticated' }> | undefined
  for (const answer of answers) {
    if (answer.outcome !== 'authenticated') continue
    const { principal } = answer
    if (
      good !== undefined &&
      (good.principal.id !== principal.id || good.principal.kind !== principal.kind)
    ) {
      return conflict
    }
    good = answer
  }
  return good ?? (answers.at(-1) as Verification<P>)
}

const conflict = Object.freeze({
  outcome: 'rejected',
  code: 'invalid_credential',
  reason: 'several cookies of this name are valid, for different principals',
  clear: false,
} as const)
