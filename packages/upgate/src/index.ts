export { memoryBus } from './bus/memory.ts'
export { refusalHeader } from './core/answer/render.ts'
export { safeNext } from './core/answer/safe-next.ts'
export { type RefusalCode, refusalCodes } from './core/contract/codes.ts'
export type { Connections, LiveConnection, Moment, Registration } from './core/contract/connections.ts'
export type {
  Credential,
  CredentialSource,
  Extraction,
  IssuedCredential,
  MaybePromise,
  OpaqueCredential,
  PasswordCredential,
  PrincipalOf,
  RefusalFacts,
  RejectionCode,
  Scheme,
  TokenCredential,
  Verification,
  VerifyContext,
} from './core/contract/credential.ts'
export type {
  Allow,
  Challenge,
  Decision,
  Defer,
  Forbid,
  HeaderList,
  InBand,
  Invalid,
  Preflight,
  Refused,
  Resumption,
  Throttle,
  Unavailable,
} from './core/contract/decision.ts'
export { type DeviceProof, type DeviceWish, deviceCredential } from './core/contract/device-proof.ts'
export type { AuditEvent, AuditEvents, EventPlace } from './core/contract/events.ts'
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
export type {
  Acceptance,
  Declared,
  Dropped,
  Frame,
  Handshake,
  HandshakeContext,
  HandshakeRefresh,
  HandshakeStep,
  Refusal,
  RefusalFrames,
} from './core/contract/handshake.ts'
export type { ListedRule, RuleOverlap } from './core/contract/listed-rule.ts'
export type { Principal, PrincipalKind } from './core/contract/principal.ts'
export type { RenderedResponse } from './core/contract/rendered-response.ts'
export type { AuthRequest, HeaderRecord } from './core/contract/request.ts'
export type { Access, CompiledRule, RuleOptions } from './core/contract/rules.ts'
export type { AcquaintanceRecord, AcquaintanceStore } from './core/ports/acquaintances.ts'
export type { RevocationBus } from './core/ports/bus.ts'
export type { Clock, Timer } from './core/ports/clock.ts'
export type { Attempt, FailureCount, FailureStore } from './core/ports/failures.ts'
export type { Logger } from './core/ports/logger.ts'
export type {
  InvitationRecord,
  PairingAnswer,
  PairingGrant,
  PairingIntroduction,
  PairingLimit,
  PairingRecord,
  PairingState,
  PairingStore,
  PairingTerms,
} from './core/ports/pairings.ts'
export type {
  Revocation,
  RevocationFeed,
  RevocationReason,
  RevocationSelector,
} from './core/ports/revocations.ts'
export {
  isStoreUnavailable,
  type SecretStore,
  type Store,
  type StoreErrorCode,
  StoreUnavailable,
} from './core/ports/stores.ts'
export type { TicketRecord, TicketStore } from './core/ports/tickets.ts'
export { createGate } from './create-gate.ts'
export { type PasswordHasher, type ScryptOptions, scryptHasher } from './crypto/password.ts'
export { type ApiKeyOptions, apiKey } from './schemes/api-key.ts'
export type { ForeignTokens } from './schemes/bearer.ts'
export {
  type DeviceCookie,
  type DeviceCookieOptions,
  deviceCookie,
} from './schemes/device-cookie.ts'
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
export type {
  DeviceCookies,
  DeviceCookieValue,
  IssuedDeviceCookie,
} from './services/accounts/device-cookies.ts'
export { createServices } from './services/create-services.ts'
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
export type { IssuedTicket, NewTicket, TicketOptions, Tickets } from './services/tokens/tickets.ts'
export type {
  Account,
  AccountRefusalCode,
  AccountResult,
  Accounts,
  ApiKey,
  Device,
  Devices,
  Issued,
  IssuedSession,
  Keys,
  LoginAnswer,
  LoginContext,
  NewAccount,
  NewApiKey,
  NewDevice,
  NewSession,
  RotateSession,
  RotateToken,
  RotationRefusal,
  RotationRefusalCode,
  ServiceLimits,
  Services,
  ServicesOptions,
  Session,
  SessionRotation,
  Sessions,
  TokenInfo,
  TokenRotation,
  TokenService,
} from './services/types.ts'
export {
  composeStores,
  type FailurePart,
  type SessionPart,
  type StoreParts,
  type TicketPart,
} from './stores/compose.ts'
export { memoryStore } from './stores/memory/memory.ts'
