/** The scopes of accounts, API keys and devices. Exact names; no scope implies another. */
export const scopes = {
  read: 'operator.read',
  pairing: 'operator.pairing',
  admin: 'operator.admin',
} as const

/** A scope, with its description on the pages. */
export interface ScopeEntry {
  readonly name: string
  readonly opens: string
  /** Whether the scope is of use to a device. */
  readonly forDevices?: boolean
}

/** Every scope. */
export const scopeCatalogue: readonly ScopeEntry[] = [
  { name: scopes.read, opens: 'See which nodes are connected', forDevices: true },
  { name: scopes.pairing, opens: 'Create, pair, list and revoke devices' },
  { name: scopes.admin, opens: 'Manage users and API keys, and read the audit trail' },
]

/** The scopes of the first account. */
export const adminScopes: readonly string[] = scopeCatalogue.map((scope) => scope.name)
