import type { RefusalCode } from '../../core/contract/codes.ts'
import type { Refusal } from '../../core/contract/handshake.ts'

/** The proof that a `connect` request carried: one refusal code means different things for different proofs. */
export type Offered = 'nothing' | 'token' | 'device-token' | 'bootstrap-token' | 'password'

/** How a `connect` request is refused, in the words of OpenClaw's clients. */
export interface ConnectRefusal {
  /** `error.code`. */
  readonly error: 'INVALID_REQUEST' | 'NOT_PAIRED' | 'UNAVAILABLE'
  /** `error.details.code`: the clients decide by it whether they connect again. */
  readonly details: string
  readonly nextStep:
    | 'update_auth_configuration'
    | 'update_auth_credentials'
    | 'wait_then_retry'
    | 'review_auth_configuration'
  readonly closeCode: 1002 | 1008 | 1009 | 1013
  /** Appended to the refusal code in the close reason, for programs that read nothing else. */
  readonly closeText?: string
  /** Whether the same request may succeed later, so that the client has to connect again by itself. */
  readonly comesBack: boolean
}

const wrongToken: ConnectRefusal = {
  error: 'INVALID_REQUEST',
  details: 'AUTH_TOKEN_MISMATCH',
  nextStep: 'update_auth_credentials',
  closeCode: 1008,
  comesBack: false,
}
const noToken: ConnectRefusal = {
  ...wrongToken,
  details: 'AUTH_TOKEN_MISSING',
  nextStep: 'update_auth_configuration',
}
const noAccess: ConnectRefusal = {
  ...wrongToken,
  details: 'AUTH_SCOPE_MISMATCH',
  nextStep: 'review_auth_configuration',
}
const wrongUser: ConnectRefusal = { ...noAccess, details: 'AUTH_VERIFIED_USER_REQUIRED' }
/** `INVALID_HANDSHAKE` would be the better name, but it stops no client. */
const wrongFrames: ConnectRefusal = {
  ...wrongToken,
  details: 'PROTOCOL_MISMATCH',
  nextStep: 'update_auth_configuration',
}
const waiting: ConnectRefusal = {
  error: 'NOT_PAIRED',
  details: 'PAIRING_REQUIRED',
  nextStep: 'wait_then_retry',
  closeCode: 1008,
  comesBack: true,
}
/** `AUTH_RATE_LIMITED` would stop the client for good, although the refusal is temporary. */
const later: ConnectRefusal = {
  error: 'UNAVAILABLE',
  details: 'UNAVAILABLE',
  nextStep: 'wait_then_retry',
  closeCode: 1013,
  comesBack: true,
}

const byCode: Readonly<Record<RefusalCode, ConnectRefusal>> = {
  auth_required: noToken,
  invalid_credential: wrongToken,
  expired_credential: wrongToken,
  revoked_credential: wrongToken,
  account_disabled: noAccess,
  setup_required: noToken,
  unknown_identity: wrongUser,
  pairing_required: waiting,
  pairing_rejected: { ...waiting, nextStep: 'review_auth_configuration', comesBack: false },
  kind_not_allowed: noAccess,
  scheme_not_allowed: noAccess,
  insufficient_scope: noAccess,
  role_required: noAccess,
  principal_mismatch: wrongToken,
  edge_mismatch: wrongUser,
  external_login: noAccess,
  // Both are refused over HTTP, before the 101; the table needs an entry for every code.
  origin_refused: { ...noAccess, details: 'CONTROL_UI_ORIGIN_NOT_ALLOWED' },
  host_refused: noAccess,
  too_many_failures: later,
  too_many_sockets: later,
  unavailable: later,
  over_capacity: later,
  pairing_full: later,
  malformed_target: wrongFrames,
  ambiguous_target: wrongFrames,
  duplicate_header: wrongFrames,
  multiple_credentials: wrongToken,
  malformed_upgrade: wrongFrames,
  unsupported_upgrade: wrongFrames,
  unknown_path: wrongFrames,
  method_refused: wrongFrames,
  upgrade_required: wrongFrames,
  bad_handshake: wrongFrames,
  handshake_timeout: later,
  too_many_frames: later,
  too_big: { ...wrongFrames, closeCode: 1009 },
}

const versionMismatch: ConnectRefusal = { ...wrongFrames, closeCode: 1002 }
/** Every proof is made for its socket: the next one may be in time. */
const clockIsWrong: ConnectRefusal = {
  ...later,
  error: 'INVALID_REQUEST',
  details: 'DEVICE_AUTH_SIGNATURE_EXPIRED',
}
const brokenProof: ConnectRefusal = { ...noToken, details: 'DEVICE_IDENTITY_REQUIRED' }

/** Words for a credential that does not count, by the credential: the client has to replace it. */
const byProof: Readonly<Record<Offered, ConnectRefusal>> = {
  nothing: wrongToken,
  token: wrongToken,
  // The only words by which the clients drop a token that they stored. They send a token that they keep without limit.
  'device-token': {
    ...wrongToken,
    details: 'AUTH_DEVICE_TOKEN_MISMATCH',
    closeText: 'device token mismatch',
  },
  'bootstrap-token': { ...wrongToken, details: 'AUTH_BOOTSTRAP_TOKEN_INVALID' },
  password: { ...wrongToken, details: 'AUTH_PASSWORD_MISMATCH' },
}

/**
 * The words for a refusal. Of the published client (`@openclaw/gateway-client` 2026.9.1), its own function
 * `shouldPauseGatewayReconnect` was asked for every row: it stops where `comesBack` is false, and nowhere else.
 *
 * @param problem - a fault of the request that the handshake found itself
 */
export function connectRefusal(
  { code, facts }: Refusal,
  offered: Offered,
  problem: 'version' | 'nonce' | undefined,
): ConnectRefusal {
  if (problem === 'version') return versionMismatch
  switch (code) {
    case 'invalid_credential':
      // A relay that answers with a challenge of its own must not cost the device its token.
      if (problem === 'nonce') return brokenProof
      // The token is good, and another client may be its owner: it must not be dropped.
      return facts?.key === 'of_another_device' ? noAccess : byProof[offered]
    case 'expired_credential':
      if (facts?.serverTime !== undefined) return clockIsWrong
      // An approval that was not collected in time: the device may ask again.
      return facts?.pairing === 'request_expired' ? waiting : byProof[offered]
    case 'revoked_credential':
      return byProof[offered]
    case 'unknown_identity':
      // Not `PAIRING_REQUIRED`: there is no request that could be approved, and the client would ask for that.
      return facts?.pairing === 'introduction_required' ? noToken : byCode[code]
    default:
      return byCode[code]
  }
}
