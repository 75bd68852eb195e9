import type { Refused } from '../contract/decision.ts'
import { compiledRuleOf } from '../contract/rules.ts'

/**
 * The value of `WWW-Authenticate` for a 401, which always carries one (RFC 6750 section 3, RFC 9110 section 11.6.1).
 *
 * On a protected resource it names the metadata (RFC 9728 section 5.1) and the scopes that the path demands, so that
 * an OAuth client asks for the right ones at its first authorization.
 *
 * @param challenges - challenges of the gate's schemes, for example `Bearer`, without parameters
 */
export function challengeFor(decision: Refused, name: string, challenges: readonly string[]): string {
  const realm = `realm="${name}"`
  const rule = compiledRuleOf(decision.rule)
  const resource = rule?.resourceMetadata === undefined ? '' : resourceParameters(decision, rule.scopes)
  // The parameter goes with any scheme; OAuth clients look at Bearer.
  if (resource !== '' && !challenges.includes('Bearer')) return `Bearer ${realm}${resource}`
  if (challenges.length === 0) return `Upgate ${realm}`
  // Nothing was sent: no error code then (RFC 6750 section 3.1).
  const none = decision.code === 'auth_required' || decision.code === 'setup_required'
  // MCP clients read the first challenge alone.
  const ordered = resource === '' ? challenges : ['Bearer', ...challenges.filter((each) => each !== 'Bearer')]
  return ordered
    .map(
      (challenge) =>
        `${challenge} ${realm}${challenge !== 'Bearer' ? '' : none ? resource : `, error="invalid_token"${resource}`}`,
    )
    .join(', ')
}

/**
 * The value of `WWW-Authenticate` for a 403 `insufficient_scope`, or `undefined` where no scheme takes Bearer tokens.
 *
 * On a protected resource it names what the credential holds, too: OAuth clients replace the scopes that they had, and
 * would lose one with every other that they get.
 */
export function scopeChallenge(
  decision: Refused,
  name: string,
  challenges: readonly string[],
): string | undefined {
  const { principal } = decision
  const rule = compiledRuleOf(decision.rule)
  const demanded = rule?.scopes ?? []
  const start = `Bearer realm="${name}", error="insufficient_scope"`
  if (rule?.resourceMetadata === undefined) {
    return challenges.includes('Bearer') ? `${start}, scope="${scopeList(demanded)}"` : undefined
  }
  const union = [...new Set([...(principal?.scopes ?? []), ...demanded])]
  const fits = scopeList(union).length <= longestScope
  return `${start}${resourceParameters(decision, fits ? union : demanded)}`
}

/** Characters. Clients refuse long headers as a whole; the demanded scopes are worth more than the rest. */
const longestScope = 4096

function resourceParameters({ rule }: Refused, scopes: readonly string[]): string {
  const metadata = `, resource_metadata="${compiledRuleOf(rule)?.resourceMetadata}"`
  const scope = scopeList(scopes)
  return scope === '' ? metadata : `${metadata}, scope="${scope}"`
}

/** Joins names as RFC 6749 section 3.3 has them; a name that cannot be written so is left out. */
function scopeList(scopes: readonly string[]): string {
  return scopes.filter((scope) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope)).join(' ')
}
