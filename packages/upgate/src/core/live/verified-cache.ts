import type { Principal } from '../contract/principal.ts'
import type { RevocationSelector } from '../ports/revocations.ts'
import { TextMap } from '../text/text-map.ts'
import { PrincipalIndex } from './principal-index.ts'

/** A credential that verified, as remembered. Only such are kept: a flood of bad ones evicts nothing. */
export interface VerifiedEntry {
  /** SHA-256 of the credential's secret: the credential itself is not kept. */
  readonly digest: string
  readonly principal: Principal
  /** When it was verified; a clock that was set back must not stretch its life. */
  readonly since: number
  /** When it must be verified again. Milliseconds since the epoch, both. */
  readonly until: number
}

/** Verified credentials by digest, at most so many. */
export interface VerifiedCache<E extends VerifiedEntry> {
  get(digest: string): E | undefined
  /** Keeps an entry under its digest, in place of an older one. */
  set(entry: E): void
  delete(digest: string): void
  /** Drops the entries of the principals that a revocation selects. */
  drop(selector: RevocationSelector): void
  readonly size: number
}

interface Generation<E extends VerifiedEntry> {
  readonly entries: TextMap<E>
  readonly index: PrincipalIndex<E>
}

/**
 * Creates a cache of two generations: the young one becomes the old one when it holds half the entries.
 *
 * A hit in the young generation is one look-up and writes nothing, where a list of recency would be
 * rewritten on every request; an entry that is used at all survives, as with least-recently-used. An index finds the
 * entries of a revocation: looking through all entries, for each of a thousand revocations, would block the process.
 *
 * @param maxEntries - most entries that are kept, at least 2
 */
export function createVerifiedCache<E extends VerifiedEntry>(maxEntries: number): VerifiedCache<E> {
  const half = Math.max(1, Math.floor(maxEntries / 2))
  let young = createGeneration<E>()
  let old = createGeneration<E>()

  function set(entry: E): void {
    const { digest } = entry
    remove(old, digest)
    remove(young, digest)
    if (young.entries.size >= half) {
      old = young
      young = createGeneration()
    }
    young.entries.set(digest, entry)
    young.index.add(entry)
  }

  return {
    get(digest) {
      const entry = young.entries.get(digest)
      if (entry !== undefined) return entry
      const aged = old.entries.get(digest)
      if (aged !== undefined) set(aged)
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

function createGeneration<E extends VerifiedEntry>(): Generation<E> {
  return { entries: new TextMap(), index: new PrincipalIndex() }
}

function remove<E extends VerifiedEntry>({ entries, index }: Generation<E>, digest: string): void {
  const entry = entries.get(digest)
  if (entry === undefined) return
  entries.delete(digest)
  index.delete(entry)
}
