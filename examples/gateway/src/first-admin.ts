import type { Services } from 'upgate'
import type { Audit } from './audit.ts'
import { type Config, ConfigError } from './config.ts'
import { adminScopes } from './scopes.ts'

/** Creates the admin of the settings if no account exists: a restart changes no password. */
export async function createFirstAdmin(config: Config, services: Services, audit: Audit): Promise<void> {
  if (config.admin === undefined) {
    // Without it, no login is possible: Access creates no accounts, and the set-up page is closed.
    if (config.access !== undefined && !(await services.accounts.any())) {
      throw new ConfigError(
        'ADMIN_EMAIL is missing: there is no account yet, and Cloudflare Access makes none. Set it to your address there.',
      )
    }
    return
  }
  const { email, password } = config.admin
  const result = await services.accounts.createFirst({
    email,
    password,
    scopes: adminScopes,
    roles: ['admin'],
  })
  if (result.outcome === 'done') {
    audit.record({ event: 'account_created', principal: result.account.id, name: result.account.email })
  } else if (result.code !== 'accounts_exist') {
    throw new ConfigError(`ADMIN_EMAIL and ADMIN_PASSWORD were not accepted: ${result.reason}`)
  }
}
