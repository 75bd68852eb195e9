import type { Verification } from '../core/credential.ts'
import { type RevocationSelector, selects } from '../core/ports/revocations.ts'
import type { Principal } from '../core/principal.ts'

/** A credential that verified. Only such are kept: a flood of bad ones evicts nobody. */
export interface VerifiedEntry {
  readonly verification: Verification
  readonly principal: Principal
  /** When it was verified; a clock that was set back must not stretch its life. */
  readonly since: number
  /** When it must be verified anew. Milliseconds since the epoch, both. */
  readonly until: number
}

/** Verified credentials by digest, at most so many. */
export interface VerifiedCache {
  get(digest: string): VerifiedEntry | undefined
  set(digest: string, entry: VerifiedEntry): void
  delete(digest: string): void
  /** Drops what a revocation concerns. */
  drop(selector: RevocationSelector): void
  readonly size: number
}

/**
 * Creates a cache of two generations: the young one becomes the old one when it holds half the entries.
 *
 * A hit in the young generation is one `Map.get` and writes nothing, where a list of recency would be
 * rewritten on every request; what is used at all survives, as with least-recently-used.
 */
export function createVerifiedCache(maxEntries: number): VerifiedCache {
  const half = Math.max(1, Math.floor(maxEntries / 2))
  let young = new Map<string, VerifiedEntry>()
  let old = new Map<string, VerifiedEntry>()

  function set(digest: string, entry: VerifiedEntry): void {
    old.delete(digest)
    if (young.size >= half && !young.has(digest)) {
      old = young
      young = new Map()
    }
    young.set(digest, entry)
  }

  return {
    get(digest) {
      const entry = young.get(digest)
      if (entry !== undefined) return entry
      const aged = old.get(digest)
      if (aged !== undefined) set(digest, aged)
      return aged
    },
    set,
    delete(digest) {
      young.delete(digest)
      old.delete(digest)
    },
    drop(selector) {
      for (const generation of [young, old]) {
        for (const [digest, entry] of generation) {
          if (selects(selector, entry.principal)) generation.delete(digest)
        }
      }
    },
    get size() {
      return young.size + old.size
    },
  }
}
