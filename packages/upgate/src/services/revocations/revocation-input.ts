import type { RevocationReason, RevocationSelector } from '../../core/ports/revocations.ts'
import type { RevocationDraft } from '../../core/ports/stores.ts'

/** Reasons that an application may give. What expires does so by itself, and `unavailable` is no verdict. */
const reasons: readonly RevocationReason[] = ['revoked', 'narrowed', 'disabled', 'logged_out', 'rotated']
const fields = ['principalId', 'kind', 'sessionId', 'credentialId', 'scheme'] as const

/**
 * A revocation out of what an application says, checked: a selector out of `undefined` alone would close every socket
 * there is. Throws a `TypeError`.
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
  if (given.length === 0) throw new TypeError('revocations.revoke: say whom it concerns')
  return { at, selector: { ...selector }, reason }
}
