import type { Principal } from '../../core/contract/principal.ts'
import { type Revocation, type RevocationFeed, selects } from '../../core/ports/revocations.ts'

/** Newest revocations remembered for look-ups in flight. */
const remembered = 1024

/** Knows which revocations came while something was being looked up, so that they win. */
export interface RevocationWatch {
  /** Number of revocations seen so far. */
  epoch(): number
  /** Whether a revocation since that epoch concerns the principal, or can no longer be ruled out. */
  touchedSince(epoch: number, principal: Principal): boolean
}

/** Calls back, synchronously, for each revocation, and remembers the newest. */
export function watchRevocations(
  feed: RevocationFeed,
  onRevocation: (revocation: Revocation) => void,
): RevocationWatch {
  const recent: Revocation[] = []
  let epoch = 0
  feed.subscribe((revocation) => {
    recent[epoch % remembered] = revocation
    epoch++
    onRevocation(revocation)
  })
  return {
    epoch: () => epoch,
    touchedSince(since, principal) {
      if (epoch - since > remembered) return true
      for (let i = since; i < epoch; i++) {
        if (selects((recent[i % remembered] as Revocation).selector, principal)) return true
      }
      return false
    },
  }
}
