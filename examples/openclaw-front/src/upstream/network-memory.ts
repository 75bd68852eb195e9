/** The networks that clients came from, with what became of them. */
export interface NetworkMemory {
  /** A client of this network was accepted. */
  accepted(network: string): void
  /** A client of this network used its turn for nothing. */
  spent(network: string): void
  isKnown(network: string): boolean
  hasSpent(network: string): boolean
}

/** Networks of accepted clients that are remembered. */
const mostKnown = 4096
/** Networks that spent a turn, and the milliseconds for which that is remembered. */
const mostSpent = 65_536
const spentFor = 600_000

export function createNetworkMemory(now: () => number): NetworkMemory {
  const known = new Set<string>()
  const spent = new Map<string, number>()
  const isKnown = (network: string): boolean => known.has(network)
  return {
    accepted(network) {
      spent.delete(network)
      known.delete(network)
      known.add(network)
      trim(known, mostKnown)
    },
    spent(network) {
      if (isKnown(network)) return
      spent.delete(network)
      spent.set(network, now())
      trim(spent, mostSpent)
    },
    isKnown,
    hasSpent: (network) => now() - (spent.get(network) ?? Number.NEGATIVE_INFINITY) < spentFor,
  }
}

/** Removes the oldest entry if there is one too many. */
function trim(entries: Set<string> | Map<string, unknown>, most: number): void {
  const [oldest] = entries.keys()
  if (entries.size > most && oldest !== undefined) entries.delete(oldest)
}
