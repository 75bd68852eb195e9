import type { Verification } from '../core/credential.ts'
import type { RevocationSelector } from '../core/ports/revocations.ts'
import type { Principal } from '../core/principal.ts'
import { PrincipalIndex } from '../core/principal-index.ts'

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

interface Indexed extends VerifiedEntry {
  readonly digest: string
}

interface Generation {
  readonly entries: Map<string, Indexed>
  readonly index: PrincipalIndex<Indexed>
}

/**
 * Creates a cache of two generations: the young one becomes the old one when it holds half the entries.
 *
 * A hit in the young generation is one `Map.get` and writes nothing, where a list of recency would be
 * rewritten on every request; what is used at all survives, as with least-recently-used. What a revocation concerns
 * is found by an index: looking through all that is kept, for each of a thousand revocations, would hold up everybody.
 */
export function createVerifiedCache(maxEntries: number): VerifiedCache {
  const half = Math.max(1, Math.floor(maxEntries / 2))
  let young = createGeneration()
  let old = createGeneration()

  function set(digest: string, entry: VerifiedEntry): void {
    remove(old, digest)
    remove(young, digest)
    if (young.entries.size >= half) {
      old = young
      young = createGeneration()
    }
    const indexed = { ...entry, digest }
    young.entries.set(digest, indexed)
    young.index.add(indexed)
  }

  return {
    get(digest) {
      const entry = young.entries.get(digest)
      if (entry !== undefined) return entry
      const aged = old.entries.get(digest)
      if (aged !== undefined) set(digest, aged)
      return aged
    },
    set,
    delete(digest) {
      remove(young, digest)
      remove(old, digest)
    },
    drop(selector) {
      for (const generation of [young, old]) {
        const { entries, index } = generation
        for (const { digest } of index.concernedBy(selector, entries.values())) remove(generation, digest)
      }
    },
    get size() {
      return young.entries.size + old.entries.size
    },
  }
}

function createGeneration(): Generation {
  return { entries: new Map(), index: new PrincipalIndex() }
}

function remove({ entries, index }: Generation, digest: string): void {
  const entry = entries.get(digest)
  if (entry === undefined) return
  entries.delete(digest)
  index.delete(entry)
}
