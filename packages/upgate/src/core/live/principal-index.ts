import type { Principal } from '../contract/principal.ts'
import { type RevocationSelector, selects } from '../ports/revocations.ts'

/** Most keys have one item: a set for each would cost more than the item itself. */
type Index<T> = Map<string, T | Set<T>>

/**
 * Things that belong to principals, found by the fields of a revocation: the cost does not grow with the things
 * of other principals.
 */
export class PrincipalIndex<T extends { readonly principal: Principal }> {
  readonly #byPrincipal: Index<T> = new Map()
  readonly #bySession: Index<T> = new Map()
  readonly #byCredential: Index<T> = new Map()

  add(item: T): void {
    const { id, sessionId, credentialId } = item.principal
    put(this.#byPrincipal, id, item)
    put(this.#bySession, sessionId, item)
    put(this.#byCredential, credentialId, item)
  }

  delete(item: T): void {
    const { id, sessionId, credentialId } = item.principal
    take(this.#byPrincipal, id, item)
    take(this.#bySession, sessionId, item)
    take(this.#byCredential, credentialId, item)
  }

  /**
   * Returns the items that a selector matches. Collected first, so that the caller may delete them.
   *
   * @param all - searched for a selector that names only a kind or a scheme
   */
  concernedBy(selector: RevocationSelector, all: Iterable<T>): T[] {
    const concerned: T[] = []
    for (const item of this.#candidates(selector) ?? all) {
      if (selects(selector, item.principal)) concerned.push(item)
    }
    return concerned
  }

  #candidates({ credentialId, sessionId, principalId }: RevocationSelector): Iterable<T> | undefined {
    if (credentialId !== undefined) return found(this.#byCredential, credentialId)
    if (sessionId !== undefined) return found(this.#bySession, sessionId)
    if (principalId !== undefined) return found(this.#byPrincipal, principalId)
    return undefined
  }
}

function put<T>(map: Index<T>, key: string | undefined, item: T): void {
  if (key === undefined) return
  const present = map.get(key)
  if (present === undefined) map.set(key, item)
  else if (present instanceof Set) present.add(item)
  else map.set(key, new Set([present, item]))
}

function take<T>(map: Index<T>, key: string | undefined, item: T): void {
  if (key === undefined) return
  const present = map.get(key)
  if (present === item) map.delete(key)
  else if (present instanceof Set && present.delete(item) && present.size === 0) map.delete(key)
}

function found<T>(map: Index<T>, key: string): Iterable<T> {
  const present = map.get(key)
  if (present === undefined) return []
  return present instanceof Set ? present : [present]
}
