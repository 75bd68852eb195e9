/**
 * The gate, its schemes, and the services that keep what they verify.
 *
 * @example
 * const { keys } = createServices({ store: memoryStore() })
 * const gate = createGate({ schemes: [apiKey({ keys })], rules: [{ path: '/health', access: 'public' }] })
 *
 * @module
 */

// Decide: the gate, its rules, and the decisions that come out.

export { refusalHeader } from './core/answer/render.ts'
export { safeNext } from './core/answer/safe-next.ts'
export { type RefusalCode, refusalCodes } from './core/contract/codes.ts'
export type {
  Decision,
  DecisionOf,
  Refused,
} from './core/contract/decision.ts'
export type { Explanation } from './core/contract/explanation.ts'
export type {
  Decider,
  ExternalLoginOptions,
  Gate,
  GateOptions,
  LoginConfiguration,
  RequireOptions,
  SetupOptions,
} from './core/contract/gate.ts'
export type { ListedRule, RuleOverlap } from './core/contract/listed-rule.ts'
export type { Principal, PrincipalKind } from './core/contract/principal.ts'
export type { AuthRequest, HeaderRecord } from './core/contract/request.ts'
export type { Access, DecidedRule, RuleOptions } from './core/contract/rules.ts'
export { createGate } from './create-gate.ts'

// Recognise: one scheme a kind of credential.

export { type ApiKeyOptions, apiKey } from './schemes/api-key.ts'
export type { ForeignTokens } from './schemes/bearer.ts'
export { type DeviceCookie, type DeviceCookieOptions, deviceCookie } from './schemes/device-cookie.ts'
export { claimSecret, type DeviceKeyOptions, deviceKey } from './schemes/device-key.ts'
export { type DeviceTokenOptions, deviceToken } from './schemes/device-token.ts'
export { type FromMiddlewareOptions, fromMiddleware, type NodeMiddleware } from './schemes/from-middleware.ts'
export { type FromRequestOptions, fromRequest, type MappedPrincipal } from './schemes/from-request.ts'
export { type PasswordOptions, type PasswordScheme, password } from './schemes/password.ts'
export {
  cookieMayBeSecure,
  type SessionCookieOptions,
  type SessionCookieScheme,
  sessionCookie,
} from './schemes/session-cookie.ts'
export { type SharedTokenOptions, sharedToken } from './schemes/shared-token.ts'
export { type TicketSchemeOptions, ticket } from './schemes/ticket.ts'
export { trustedHeader } from './schemes/trusted-header/scheme.ts'
export type {
  HeaderAccount,
  HeaderIdentity,
  IdentityHeaders,
  IdentityProxy,
  TrustedHeaderOptions,
} from './schemes/trusted-header/types.ts'

// Keep: accounts, sessions, keys, devices, pairing, tickets, revocations.

export { type PasswordHasher, type ScryptOptions, scryptHasher } from './crypto/password.ts'
export type {
  DeviceCookies,
  DeviceCookieValue,
  IssuedDeviceCookie,
} from './services/accounts/device-cookies.ts'
export type {
  Account,
  AccountRefusalCode,
  AccountResult,
  Accounts,
  LoginAnswer,
  LoginContext,
  NewAccount,
} from './services/accounts/types.ts'
export { createServices } from './services/create-services.ts'
export type { ListPage, PageOptions } from './services/pages.ts'
export type {
  Approval,
  BootstrapResult,
  Invitation,
  NewInvitation,
  Pairing,
  PairingActor,
  PairingDecision,
  PairingOptions,
  PairingRefusal,
  PairingRefusalCode,
  PairingRequest,
} from './services/pairing/types.ts'
export type { Revocations, RevocationsHealth } from './services/revocations/types.ts'
export type { ImportedToken, ImportOptions, ImportProgress } from './services/tokens/import-tokens.ts'
export type { IssuedTicket, NewTicket, TicketOptions, Tickets } from './services/tokens/tickets.ts'
export type {
  ApiKey,
  Device,
  Devices,
  Issued,
  IssuedSession,
  Keys,
  NewApiKey,
  NewDevice,
  NewSession,
  RotateSession,
  RotateToken,
  RotationRefusal,
  RotationRefusalCode,
  SessionInfo,
  SessionRotation,
  Sessions,
  TokenInfo,
  TokenRotation,
  TokenService,
} from './services/tokens/types.ts'
export type { ServiceLimits, Services, ServicesOptions } from './services/types.ts'

// Store: in memory, and several stores as one. upgate/sql and upgate/redis have others, upgate/store the ports.

export { memoryBus } from './bus/memory.ts'
export { isStoreUnavailable, type Store } from './core/ports/stores.ts'
export { composeStores } from './stores/compose.ts'
export { memoryStore } from './stores/memory/memory.ts'

// Extend: a scheme of your own.

export type {
  Credential,
  Extraction,
  MaybePromise,
  PrincipalOf,
  RefusalFacts,
  RejectionCode,
  Scheme,
  Verification,
  VerifyContext,
} from './core/contract/credential.ts'

// Watch and inject: audit events, revocations, clock and logger.

export type { AuditEvent, AuditEvents, EventPlace } from './core/contract/events.ts'
export type { Clock } from './core/ports/clock.ts'
export type { Logger } from './core/ports/logger.ts'
export type {
  Revocation,
  RevocationFeed,
  RevocationReason,
  RevocationSelector,
} from './core/ports/revocations.ts'
