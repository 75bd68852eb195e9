/** What accounts, API keys and devices of this gateway can be allowed to do. Exact names; none implies another. */
export const scopes = {
  read: 'operator.read',
  pairing: 'operator.pairing',
  admin: 'operator.admin',
} as const

/** A scope, with what it opens, in the words of the pages. */
export interface ScopeEntry {
  readonly name: string
  readonly opens: string
  /** Whether it opens anything for a device. */
  readonly forDevices?: boolean
}

/** Every scope. */
export const scopeCatalogue: readonly ScopeEntry[] = [
  { name: scopes.read, opens: 'See which nodes are connected', forDevices: true },
  { name: scopes.pairing, opens: 'Create, pair, list and revoke devices' },
  { name: scopes.admin, opens: 'Create, list and revoke API keys, and read the audit trail' },
]

/** What the first account holds. */
export const adminScopes: readonly string[] = scopeCatalogue.map((scope) => scope.name)
