/** The sort of actor that a principal is. Rules admit `user` only, unless they say otherwise. */
export type PrincipalKind = 'user' | 'device' | 'service'

/**
 * The identity that a verified credential's record states, never one that a client claims.
 *
 * Values are frozen: they are shared between requests by the caches.
 *
 * @example
 * const principal = gate.principalOf(request)
 * if (principal?.scopes.includes('files.write')) save()
 */
export interface Principal {
  /** The sort of actor; rules admit kinds. */
  readonly kind: PrincipalKind
  /** Stable id of the actor: the account id, the device (node) id, the service name. */
  readonly id: string
  /**
   * The type of credential it was verified by, such as `session`, whatever `name` the scheme was given;
   * revocation by scheme acts on it.
   */
  readonly scheme: string
  /** Public id of the credential record, safe to log; what revocation by credential acts on. */
  readonly credentialId?: string
  /** Session the principal came from, when it came from one; what revocation by session acts on. */
  readonly sessionId?: string
  /**
   * Applications of the edge that its credential was issued for: AUD tags of Access. A rule with `audience` admits an
   * identity of the edge by them.
   */
  readonly audiences?: readonly string[]
  /** Exact scope names. An empty set grants nothing anywhere. */
  readonly scopes: readonly string[]
  /** Role names. A rule with `roles` demands one of them. */
  readonly roles: readonly string[]
  /** Milliseconds since the epoch at which the credential stops counting; absent = it does not expire. */
  readonly expiresAt?: number
  /** A name fit for people: an email, a device's name. */
  readonly displayName?: string
  /** Further facts from the scheme, for the application; the gate does not read them. */
  readonly attributes: Readonly<Record<string, unknown>>
}

/** The facts of a principal; `undefined` stands for a fact that is absent. */
export type PrincipalFacts = Pick<Principal, 'kind' | 'id' | 'scheme'> & {
  readonly [F in keyof Principal]?: Principal[F] | undefined
}

/**
 * Builds a principal from copies of its facts, frozen to the last list.
 *
 * @param facts - without `scopes` or `roles` it holds none
 */
export function createPrincipal<const F extends PrincipalFacts>(facts: F): Principal & Pick<F, 'kind'> {
  const { kind, id, scheme, credentialId, sessionId, audiences, expiresAt, displayName } = facts
  return Object.freeze({
    kind: kind as F['kind'],
    id,
    scheme,
    ...(credentialId === undefined ? {} : { credentialId }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(audiences === undefined ? {} : { audiences: Object.freeze([...audiences]) }),
    scopes: Object.freeze([...(facts.scopes ?? [])]),
    roles: Object.freeze([...(facts.roles ?? [])]),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(displayName === undefined ? {} : { displayName }),
    attributes: Object.freeze({ ...facts.attributes }),
  })
}
