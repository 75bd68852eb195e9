import type { Scheme } from '../contract/credential.ts'
import type { Principal } from '../contract/principal.ts'
import type { CompiledRule } from '../contract/rules.ts'

/** The facts of a scheme that admission needs. */
export type VerifyingScheme = Pick<Scheme, 'name' | 'principalSchemes' | 'edge'>

/**
 * Whether a rule names the scheme that verified a principal.
 *
 * The rule must give that scheme's own `name`, because the principals of two schemes of one type carry the same
 * `principal.scheme`. A ticket stands for a principal that another scheme verified before. If several schemes of the
 * gate may have verified that principal, the rule must name all of them.
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
