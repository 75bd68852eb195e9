import type { Clock, ExternalLoginOptions, Logger, Services } from 'upgate'
import { byEmail, type CloudflareAccessScheme, cloudflareAccess } from 'upgate/cloudflare-access'
import type { AccessConfig } from './config.ts'

/** The login through Cloudflare Access, which replaces the gateway's own login. */
export const externalLogin: ExternalLoginOptions = {
  name: 'Cloudflare Access',
  // Access answers it on every host that it protects.
  logoutUrl: '/cdn-cgi/access/logout',
  closes: ['/login', '/logout', '/setup', '/api/auth/login', '/api/auth/logout', '/api/auth/setup'],
}

export interface AccessParts {
  readonly config: AccessConfig
  readonly services: Services
  readonly logger: Logger
  readonly clock: Clock | undefined
}

/**
 * Creates the scheme for Cloudflare Access. A person's identity is the account with that email address; without an
 * account, the request is refused. A service token passes the edge and grants nothing here: the scopes of a program
 * are those of its API key or device.
 */
export function createAccess({ config, services, logger, clock }: AccessParts): CloudflareAccessScheme {
  const { issuer, audience, simulator } = config
  const account = byEmail(services.accounts)
  const access = cloudflareAccess({
    issuer,
    audience,
    identify: (identity) => (identity.kind === 'service' ? {} : account(identity)),
    revocations: services.revocations,
    logger,
    ...(simulator !== undefined && { dangerouslyTrustSimulatorAt: simulator }),
    ...(clock && { clock }),
  })
  // A failure is logged, and the first request fetches the keys again.
  void access.prefetch()
  return access
}
