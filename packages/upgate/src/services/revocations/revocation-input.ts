import { wrongOption } from '../../core/options/check-options.ts'
import type { RevocationReason, RevocationSelector } from '../../core/ports/revocations.ts'
import type { RevocationDraft } from '../../core/ports/stores.ts'

/**
 * Reasons that an application may give. `expired` happens by itself, and `unavailable` says nothing about a
 * credential.
 */
const reasons: readonly RevocationReason[] = ['revoked', 'narrowed', 'disabled', 'logged_out', 'rotated']
const fields = ['principalId', 'kind', 'sessionId', 'credentialId', 'scheme'] as const

/**
 * Checks an application's revocation and makes a draft of it. Throws a `TypeError`.
 *
 * A selector that holds nothing but `undefined` would close every socket, so empty fields are refused.
 */
export function checkDraft(
  selector: RevocationSelector,
  reason: RevocationReason,
  at: number,
): RevocationDraft {
  if (!reasons.includes(reason)) {
    throw wrongOption('revocations.revoke', 'reason', `one of ${reasons.join(', ')}`, reason)
  }
  const given = Object.entries(selector ?? {})
  for (const [name, value] of given) {
    if (!(fields as readonly string[]).includes(name) || typeof value !== 'string' || value === '') {
      throw wrongOption(
        'revocations.revoke',
        name,
        `a text that is not empty, and one of ${fields.join(', ')}`,
        value,
      )
    }
  }
  if (given.length === 0)
    throw new TypeError(
      'revocations.revoke: the selector is empty; name at least one field, such as principalId or sessionId',
    )
  return { at, selector: { ...selector }, reason }
}
