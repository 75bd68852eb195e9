/**
 * Identities of Cloudflare Access, verified: people and service tokens.
 *
 * @example
 * import { createGate } from 'upgate'
 * import { byEmail, cloudflareAccess } from 'upgate/cloudflare-access'
 *
 * const access = cloudflareAccess({ team: 'acme', audience: [AUD], identify: byEmail(services.accounts) })
 * const gate = createGate({ origins: ['https://gateway.example.com'], schemes: [access], rules })
 *
 * @module
 */
export {
  type AccountDirectory,
  byEmail,
  type DirectoryAccount,
} from './schemes/cloudflare-access/by-email.ts'
export { cloudflareAccess } from './schemes/cloudflare-access/scheme.ts'
export type {
  AccessClaims,
  AccessIdentity,
  AccessKeyOptions,
  AccessKeyStatus,
  AccessOnlineOptions,
  AccessPrincipal,
  AccessService,
  AccessServiceGrant,
  AccessUser,
  CloudflareAccessOptions,
  CloudflareAccessScheme,
  IdentifiedPrincipal,
  Identify,
} from './schemes/cloudflare-access/types.ts'
