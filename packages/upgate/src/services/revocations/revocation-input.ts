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
    throw new TypeError(`revocations.revoke: \`reason\` must be one of ${reasons.join(', ')}`)
  }
  const given = Object.entries(selector ?? {})
  for (const [name, value] of given) {
    if (!(fields as readonly string[]).includes(name) || typeof value !== 'string' || value === '') {
      throw new TypeError(
        `revocations.revoke: \`${name}\` must be a text that is not empty, and one of ${fields.join(', ')}`,
      )
    }
  }
  if (given.length === 0)
    throw new TypeError(
      'revocations.revoke: the selector is empty; name at least one field, such as principalId or sessionId',
    )
  return { at, selector: { ...selector }, reason }
}
