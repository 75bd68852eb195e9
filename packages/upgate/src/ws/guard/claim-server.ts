import { overlap } from '../../core/rules/pattern.ts'
import { type Guard, type Guarded, guards } from '../../node/guards.ts'
import type { PathTable } from './path-table.ts'

/** The mark of one guard on a server. */
export interface Claim {
  /** Removes the mark. */
  release(): void
  /** Whether another guard stands between this one and the server's listeners; it answers everything by itself. */
  isOuter(): boolean
}

/**
 * Marks a server with its guard and with the paths that have an owner.
 *
 * @throws TypeError if the same gate guards the server already, or another guard of this server owns one of the paths
 */
export function claimServer(
  server: object,
  gate: object,
  tables: Readonly<Record<'sockets' | 'handlers', PathTable<unknown>>>,
): Claim {
  const owned = Object.entries(tables).flatMap(([option, { patterns }]) =>
    patterns.map((pattern) => ({ option, pattern })),
  )
  const noted = (server as Guarded)[guards] ?? []
  for (const guard of noted) {
    if (guard.gate === gate) {
      throw new TypeError(
        'guardServer: this gate guards this server already; name all paths in the `sockets` of one call.',
      )
    }
    for (const { option, pattern } of owned) {
      const other = guard.patterns.find((known) => overlap(known, pattern))
      if (other === undefined) continue
      throw new TypeError(
        `guardServer: \`${option}['${pattern.source}']\` has an owner already: another guard of this server owns \`${other.source}\`.`,
      )
    }
  }
  const guard: Guard = { gate, patterns: owned.map(({ pattern }) => pattern) }
  Object.defineProperty(server, guards, { value: [...noted, guard], configurable: true, writable: true })
  return {
    release() {
      const left = ((server as Guarded)[guards] ?? []).filter((known) => known !== guard)
      ;(server as Guarded)[guards] = left
    },
    isOuter: () => noted.some((known) => (server as Guarded)[guards]?.includes(known)),
  }
}
