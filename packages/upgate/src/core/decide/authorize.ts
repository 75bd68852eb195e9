import { atOnce } from '../async/maybe-promise.ts'
import type { RefusalCode } from '../contract/codes.ts'
import type { Declared, Dropped } from '../contract/handshake.ts'
import type { Principal } from '../contract/principal.ts'
import type { CompiledRule } from '../contract/rules.ts'
import { isForAudience, otherApplication } from '../rules/audience.ts'
import { namesVerifier, schemesOf, type VerifyingScheme } from './named-schemes.ts'

/**
 * Why a principal may not enter under a rule, or `undefined` when it may. Throws what `agreesWithEdge` throws.
 *
 * @param verifiedBy - the scheme that verified the principal's credential
 * @param schemes - all schemes of the gate
 */
export function whyNotAuthorized(
  rule: CompiledRule,
  principal: Principal,
  edgePrincipal: Principal | undefined,
  verifiedBy: VerifyingScheme,
  schemes: readonly VerifyingScheme[],
): { readonly code: RefusalCode; readonly detail?: string; readonly note?: string } | undefined {
  if (!rule.kinds.includes(principal.kind)) {
    return {
      code: 'kind_not_allowed',
      detail: `A principal of kind ${principal.kind} may not enter here; admitted: ${rule.kinds.join(', ') || 'none'}.`,
    }
  }
  if (!namesVerifier(rule, principal, verifiedBy, schemes)) {
    return { code: 'scheme_not_allowed', note: whyNotNamed(rule, principal, verifiedBy, schemes) }
  }
  if (rule.audience !== undefined && isOfEdge(principal, verifiedBy, schemes)) {
    if (!isForAudience(rule, principal)) {
      return { code: 'invalid_credential', detail: otherApplication, note: whyNotFor(rule, principal) }
    }
  }
  if (rule.rolesImpossible === true) return { code: 'role_required' }
  if (rule.roles.length > 0 && !rule.roles.some((role) => principal.roles.includes(role)))
    return { code: 'role_required' }
  for (const scope of rule.scopes) {
    if (principal.scopes.includes(scope)) continue
    const missing = rule.scopes.filter((wanted) => !principal.scopes.includes(wanted))
    return { code: 'insufficient_scope', detail: `The credential lacks: ${missing.join(', ')}.` }
  }
  if (rule.agreesWithEdge !== undefined) {
    if (edgePrincipal === undefined) return { code: 'edge_mismatch' }
    const agreed: unknown = atOnce('agreesWithEdge', rule.agreesWithEdge(edgePrincipal, principal))
    // Only `true` is agreement: a forgotten `return` must not admit a request.
    if (agreed !== true) return { code: 'edge_mismatch' }
  }
  return undefined
}

/** Whether a principal proved itself to the edge: by its own scheme, or by one that stands for it, as tickets do. */
function isOfEdge(
  principal: Principal,
  verifiedBy: VerifyingScheme,
  schemes: readonly VerifyingScheme[],
): boolean {
  if (principal.audiences !== undefined || verifiedBy.edge === true) return true
  return schemesOf(principal, schemes).some(({ edge }) => edge === true)
}

/** For the operator: which application the identity is of, and which ones the rule takes. AUD tags are no secrets. */
export function whyNotFor(rule: CompiledRule, { audiences = [] }: Principal): string {
  return `The rule takes identities of the edge's applications ${rule.audience?.join(', ') || 'none'}; this one is of ${audiences.join(', ') || 'none'}.`
}

/** For the operator: what the rule would have to name. */
function whyNotNamed(
  rule: CompiledRule,
  principal: Principal,
  verifiedBy: VerifyingScheme,
  schemes: readonly VerifyingScheme[],
): string {
  const names = rule.schemes?.join(', ') || 'none'
  if (rule.schemes?.includes(verifiedBy.name) !== true)
    return `The rule counts the schemes ${names}; the scheme ${verifiedBy.name} verified this credential.`
  const possible = schemesOf(principal, schemes)
  return possible.length === 0
    ? `The scheme ${verifiedBy.name} verified a principal of the scheme ${principal.scheme}, which no scheme of this gate is known for.`
    : `The scheme ${verifiedBy.name} stands here for a principal of the scheme ${principal.scheme}: it counts where the rule names ${possible.map(({ name }) => name).join(', ')}, too. The rule counts ${names}.`
}

/**
 * Applies what a client says of itself: it can only narrow what its record holds.
 *
 * @returns the narrowed principal, and the declared scopes and role that were not granted
 */
export function narrow<P extends Principal>(
  principal: P,
  declared: Declared | undefined,
): { readonly principal: P; readonly dropped: Dropped | undefined } {
  if (declared === undefined) return { principal, dropped: undefined }
  const dropped: { role?: string; scopes?: readonly string[]; id?: string } = {}
  let { scopes, roles } = principal
  if (declared.role !== undefined) {
    if (roles.includes(declared.role)) roles = [declared.role]
    else dropped.role = declared.role
  }
  if (declared.scopes !== undefined) {
    const asked = new Set(declared.scopes)
    const refused = [...asked].filter((scope) => !principal.scopes.includes(scope))
    if (refused.length > 0) dropped.scopes = refused
    scopes = principal.scopes.filter((scope) => asked.has(scope))
  }
  if (declared.id !== undefined && declared.id !== principal.id) dropped.id = declared.id
  const same = scopes === principal.scopes && roles === principal.roles
  return {
    principal: same
      ? principal
      : Object.freeze({ ...principal, scopes: Object.freeze([...scopes]), roles: Object.freeze([...roles]) }),
    dropped: Object.keys(dropped).length === 0 ? undefined : dropped,
  }
}
