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
