/** What accounts and API keys of this gateway can be allowed to do. Exact names; none implies another. */
export const scopes = {
  read: 'operator.read',
  pairing: 'operator.pairing',
  admin: 'operator.admin',
} as const

/** Every scope, with what it opens, in the words of the pages. */
export const scopeCatalogue: readonly { readonly name: string; readonly opens: string }[] = [
  { name: scopes.read, opens: 'See which nodes are connected' },
  { name: scopes.pairing, opens: 'Create, pair, list and revoke devices' },
  { name: scopes.admin, opens: 'Create, list and revoke API keys, and read the audit trail' },
]

/** What the first account holds. */
export const adminScopes: readonly string[] = scopeCatalogue.map((scope) => scope.name)
