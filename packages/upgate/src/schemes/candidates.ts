import { andThen } from '../core/async/maybe-promise.ts'
import type { MaybePromise, Verification } from '../core/contract/credential.ts'
import type { Principal } from '../core/contract/principal.ts'

/**
 * Verifies several cookies of one name, and says whose they are together.
 *
 * Sites of a parent domain, and other programs on the same host, can put a cookie of any name beside ours. What does
 * not verify among them is left out, so that nobody is locked out by it. Those that verify have to be of one principal:
 * where they are not, nobody can say which of them the browser's user logged in with, and counting either would let a
 * stranger log people in as itself. None is removed then, because the removal would hit ours alone.
 *
 * @param values - in the order in which the browser sent them, at least two
 * @returns the last one's answer where they agree: the one for the shortest path
 */
export function verifyCandidates<V, P extends Principal>(
  values: readonly V[],
  verify: (value: V) => MaybePromise<Verification<P>>,
): MaybePromise<Verification<P>> {
  const next = (at: number, answers: readonly Verification<P>[]): MaybePromise<Verification<P>> => {
    const value = values[at]
    if (value === undefined) return together(answers)
    return andThen(verify(value), (answer) => {
      // One that cannot be judged could be anybody's: counting another would be guessing.
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
