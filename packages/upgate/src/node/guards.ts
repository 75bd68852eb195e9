import type { Pattern } from '../core/rules/pattern.ts'

/** One guard of a server. */
export interface Guard {
  readonly gate: object
  readonly patterns: readonly Pattern[]
}

/** Where a server carries its guards; shared by all copies of the library, so that each sees what another guards. */
export const guards: unique symbol = Symbol.for('upgate.guards') as never

/** A server, as far as guards are concerned. */
export interface Guarded {
  [guards]?: Guard[]
}

/** The gates that guard a server. */
export function guardingGates(server: object): readonly object[] {
  return (server as Guarded)[guards]?.map((guard) => guard.gate) ?? []
}
