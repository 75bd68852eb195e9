import type { Clock, ExternalLoginOptions, Logger, Services } from 'upgate'
import { byEmail, type CloudflareAccessScheme, cloudflareAccess } from 'upgate/cloudflare-access'
import type { AccessConfig } from './config.ts'

/** What stands in for our own login while Cloudflare Access does it. */
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
 * Takes the identity that Access vouches for: people are the accounts with their email address, and nobody else gets
 * in. A service token opens the way through the edge and grants nothing here: what a program may do stands with its
 * API key or device.
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
  // A failure is logged, and the first request asks again.
  void access.prefetch()
  return access
}
