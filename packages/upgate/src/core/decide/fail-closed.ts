import type { RefusalCode } from '../contract/codes.ts'
import type { Credential } from '../contract/credential.ts'
import type { Refused } from '../contract/decision.ts'
import type { Principal } from '../contract/principal.ts'
import { type RefusalDetails, refuse } from '../contract/refusals.ts'
import type { AuthRequest } from '../contract/request.ts'
import type { CompiledRule } from '../contract/rules.ts'
import type { FaultLog } from '../faults/fault-log.ts'
import { whyNotAuthorized } from './authorize.ts'
import type { VerifyingScheme } from './named-schemes.ts'
import { secretsOf } from './scheme-calls.ts'

/** Refuses what could not be decided, and logs why. */
export function refuseUndecided(
  faults: FaultLog,
  error: unknown,
  request: AuthRequest | undefined,
  credential?: Credential,
): Refused {
  faults.report({
    message: 'A decision failed; the request is refused.',
    place: {},
    error,
    secrets: secretsOf(request, credential),
  })
  return refuse('unavailable')
}

/** Why a principal may not enter under a rule. An `agreesWithEdge` that breaks agrees to nothing. */
export function whyNotAdmitted(
  { schemes, faults }: { readonly schemes: readonly VerifyingScheme[]; readonly faults: FaultLog },
  rule: CompiledRule,
  principal: Principal,
  edgePrincipal: Principal | undefined,
  verifiedBy: VerifyingScheme,
  request: AuthRequest | undefined,
  credential?: Credential,
): (RefusalDetails & { readonly code: RefusalCode }) | undefined {
  try {
    return whyNotAuthorized(rule, principal, edgePrincipal, verifiedBy, schemes)
  } catch (error) {
    const scheme = verifiedBy.name
    faults.report({
      message: 'Whether a principal may enter could not be found out.',
      place: { rule: rule.label, scheme },
      error,
      secrets: secretsOf(request, credential),
    })
    return {
      code: 'unavailable',
      scheme,
      note: `The demands of the rule ${rule.label} could not be checked.`,
    }
  }
}
