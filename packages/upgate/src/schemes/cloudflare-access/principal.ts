import { createPrincipal } from '../../core/contract/principal.ts'
import { isNames } from './options.ts'
import type { AccessIdentity, AccessPrincipal, IdentifiedPrincipal } from './types.ts'

/** Facts of a token about its principal besides the identity. */
export interface TokenFacts {
  readonly scheme: string
  readonly credentialId: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
  /** The AUD tags of the token, without those that the scheme does not take. */
  readonly audiences: readonly string[]
}

/**
 * Builds the frozen principal of an identity. Throws a `TypeError` for an invalid answer of `identify`:
 * interpreting it could grant rights by mistake.
 */
export function principalOf(
  identity: AccessIdentity,
  known: IdentifiedPrincipal,
  facts: TokenFacts,
): AccessPrincipal {
  const fallbackId = identity.kind === 'user' ? identity.subject : identity.commonName
  const { id = fallbackId, scopes = [], roles = [], kind = identity.kind, displayName, expiresAt } = known
  if (kind !== identity.kind) throw new TypeError(`identify made a ${kind} of a ${identity.kind}`)
  if (typeof id !== 'string' || id === '') throw new TypeError('identify gave an `id` that is no string')
  if (!isNames(scopes)) throw new TypeError('identify gave `scopes` that are no array of names')
  if (!isNames(roles)) throw new TypeError('identify gave `roles` that are no array of names')
  if (expiresAt !== undefined && !Number.isFinite(expiresAt)) {
    throw new TypeError('identify gave an `expiresAt` that is no number of milliseconds')
  }
  const country = identity.claims.country
  return createPrincipal({
    kind: identity.kind,
    id,
    scheme: facts.scheme,
    credentialId: identity.kind === 'service' ? identity.commonName : facts.credentialId,
    audiences: facts.audiences,
    scopes,
    roles,
    expiresAt: expiresAt === undefined ? facts.expiresAt : Math.min(expiresAt, facts.expiresAt),
    displayName: displayName ?? identity.email ?? id,
    // Attributes from Access come last: an attribute of the application must not override them.
    attributes: {
      ...known.attributes,
      subject: identity.subject,
      ...(identity.kind === 'user' ? { email: identity.email } : { commonName: identity.commonName }),
      ...(typeof country === 'string' ? { country } : {}),
    },
  })
}
