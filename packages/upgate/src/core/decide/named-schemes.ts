import type { Scheme } from '../contract/credential.ts'
import type { Principal } from '../contract/principal.ts'
import type { CompiledRule } from '../contract/rules.ts'

/** The facts of a scheme that admission needs. */
export type VerifyingScheme = Pick<Scheme, 'name' | 'principalSchemes' | 'edge'>

/**
 * Whether a rule names what verified a principal.
 *
 * The scheme that verified it must be named, by its own name: of two schemes of one type, the principals of both carry
 * the same `principal.scheme`. A scheme may also stand for principals of another scheme, as tickets do. Which one of
 * several schemes of a type that was cannot be known, so all of them must be named.
 *
 * @param schemes - all schemes of the gate
 */
export function namesVerifier(
  rule: Pick<CompiledRule, 'schemes'>,
  principal: Principal,
  verifiedBy: VerifyingScheme,
  schemes: readonly VerifyingScheme[],
): boolean {
  const named = rule.schemes
  if (named === undefined) return true
  if (!named.includes(verifiedBy.name)) return false
  if (carries(verifiedBy, principal)) return true
  const possible = schemesOf(principal, schemes)
  return possible.length > 0 && possible.every(({ name }) => named.includes(name))
}

/** The schemes that may have verified a principal, by its value of `scheme`. */
export function schemesOf(
  principal: Principal,
  schemes: readonly VerifyingScheme[],
): readonly VerifyingScheme[] {
  return schemes.filter((scheme) => carries(scheme, principal))
}

function carries({ name, principalSchemes }: VerifyingScheme, { scheme }: Principal): boolean {
  return principalSchemes === undefined ? scheme === name : principalSchemes.includes(scheme)
}
