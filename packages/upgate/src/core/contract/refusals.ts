import type { RefusalCode } from './codes.ts'
import type { RefusalFacts } from './credential.ts'
import type { HeaderList, Refused } from './decision.ts'
import type { Principal } from './principal.ts'
import type { DecidedRule } from './rules.ts'

interface CatalogueEntry {
  readonly status: number
  readonly detail: string
  readonly action: string
}

/**
 * The defaults of every code: HTTP status, one sentence, the next step.
 * `docs/errors.md` is checked against this table by a test.
 */
export const refusalCatalogue: Readonly<Record<RefusalCode, CatalogueEntry>> = {
  auth_required: {
    status: 401,
    detail: 'No credential was sent, or none that counts here.',
    action: 'Log in, or send an API key or token that this path accepts.',
  },
  invalid_credential: {
    status: 401,
    detail: 'The credential sent is not valid.',
    action: 'Check that it was copied completely and belongs to this server; then create a new one.',
  },
  expired_credential: {
    status: 401,
    detail: 'The credential has expired.',
    action: 'Log in again or create a new credential.',
  },
  revoked_credential: {
    status: 401,
    detail: 'The credential was revoked.',
    action: 'Ask an administrator of this server for a new one.',
  },
  account_disabled: {
    status: 401,
    detail: 'The account this credential belongs to is disabled.',
    action: 'Ask an administrator of this server to enable it.',
  },
  setup_required: {
    status: 401,
    detail: 'This server has no account yet.',
    action: 'Open its setup page in a browser and create the first account.',
  },
  unknown_identity: {
    status: 403,
    detail: 'The identity is verified, but nobody here is known by it.',
    action: 'Ask an administrator of this server to create an account for it.',
  },
  pairing_required: {
    status: 403,
    detail: 'This device is not paired yet; its request waits for approval.',
    action: 'Approve it on the server if the comparison codes are the same, then connect again.',
  },
  pairing_rejected: {
    status: 403,
    detail: 'The pairing request of this device was rejected.',
    action: 'Ask an administrator of this server, then start again.',
  },
  pairing_full: {
    status: 503,
    detail: 'Too many pairing requests are waiting for approval.',
    action: 'Have the waiting ones approved or rejected, or wait until they expire, then try again.',
  },
  kind_not_allowed: {
    status: 403,
    detail: 'This kind of principal may not enter here.',
    action:
      'Use a credential of a kind that this path admits: a user login, a device token or a service key.',
  },
  scheme_not_allowed: {
    status: 403,
    detail: 'This path does not accept this sort of credential.',
    action: 'Use one of the credential schemes that the path admits.',
  },
  insufficient_scope: {
    status: 403,
    detail: 'The credential lacks a scope that this path demands.',
    action: 'Create a credential that holds the missing scope.',
  },
  role_required: {
    status: 403,
    detail: 'The principal has none of the roles that this path demands.',
    action: 'Ask an administrator of this server for the role.',
  },
  principal_mismatch: {
    status: 403,
    detail: 'The HTTP request and the first frame proved two different principals.',
    action: 'Send one of the two credentials only.',
  },
  edge_mismatch: {
    status: 403,
    detail: 'Whom the edge let through and who proved themselves here do not agree.',
    action: 'Pass the edge with the identity that belongs to this credential.',
  },
  external_login: {
    status: 403,
    detail: 'Login and setup of this server are closed, because the login is done elsewhere.',
    action: 'Open the application through its public address, where the login takes place.',
  },
  origin_refused: {
    status: 403,
    detail: 'The request comes from a page of an origin that is not allowed.',
    action: 'Open the page from an allowed origin, or add its exact scheme, host and port to `origins`.',
  },
  host_refused: {
    status: 403,
    detail: 'The Host header names a host that is not ours.',
    action: 'Use the public address of this server, or add the host to `hosts`.',
  },
  too_many_failures: {
    status: 429,
    detail: 'Too many failed attempts.',
    action: 'Wait as long as Retry-After says, then try again with the right credential.',
  },
  too_many_sockets: {
    status: 503,
    detail: 'Too many sockets of this address are waiting to prove who they are.',
    action: 'Wait as long as Retry-After says, then connect again.',
  },
  unavailable: {
    status: 503,
    detail: 'The credential could not be checked, because a part of the server did not answer.',
    action: 'Try again later; the credential was not judged.',
  },
  over_capacity: {
    status: 503,
    detail: 'The server has no capacity left for this.',
    action: 'Wait as long as Retry-After says, then try again.',
  },
  malformed_target: {
    status: 400,
    detail: 'The request target is malformed.',
    action: 'Send an absolute path with valid percent-encoding.',
  },
  ambiguous_target: {
    status: 400,
    detail: 'The request target can be read in ways that meet different rules.',
    action: 'Send the path in its normal form: no dot segments, doubled or encoded slashes, or parameters.',
  },
  duplicate_header: {
    status: 400,
    detail: 'A header that may occur once was sent more than once.',
    action: 'Send it once; look for a proxy that adds it again.',
  },
  multiple_credentials: {
    status: 400,
    detail: 'More than one explicit credential was sent.',
    action: 'Send exactly one.',
  },
  malformed_upgrade: {
    status: 400,
    detail: 'The WebSocket handshake is malformed.',
    action: 'Send a handshake as RFC 6455 section 4.1 describes it, without a body.',
  },
  unsupported_upgrade: {
    status: 426,
    detail: 'Only the WebSocket protocol, version 13, can be upgraded to here.',
    action: 'Send `Upgrade: websocket` and `Sec-WebSocket-Version: 13`, or no Upgrade header.',
  },
  unknown_path: {
    status: 404,
    detail: 'Nothing answers WebSocket upgrades on this path.',
    action: 'Check the path in the URL.',
  },
  method_refused: {
    status: 405,
    detail: 'This method is refused everywhere on this server.',
    action: 'Use another method.',
  },
  upgrade_required: {
    status: 426,
    detail: 'This path speaks WebSocket only, and no usable upgrade arrived.',
    action: 'Connect with a WebSocket client; if you did, a proxy on the way dropped the Upgrade header.',
  },
  bad_handshake: {
    status: 400,
    detail: 'The first frames were not the handshake that this path expects.',
    action: 'Send the handshake of the protocol that this path speaks.',
  },
  handshake_timeout: {
    status: 401,
    detail: 'No credential arrived in time.',
    action: 'Send the credential right after connecting.',
  },
  too_many_frames: {
    status: 429,
    detail: 'Too many frames arrived before the credential was verified.',
    action: 'Send the credential first and wait for the answer.',
  },
  too_big: {
    status: 400,
    detail: 'Too many bytes arrived before the credential was verified.',
    action: 'Send the credential in a small first frame.',
  },
}

/** The parts of a refusal that may differ from the catalogue. */
export interface RefusalDetails {
  readonly detail?: string | undefined
  readonly action?: string | undefined
  readonly rule?: DecidedRule | undefined
  readonly principal?: Principal | undefined
  readonly scheme?: string | undefined
  /** For the operator alone. */
  readonly note?: string | undefined
  /** The scheme's, for the operator alone. */
  readonly reason?: string | undefined
  readonly clocksDiffer?: boolean | undefined
  readonly headers?: HeaderList | undefined
  /** Seconds. */
  readonly retryAfter?: number | undefined
  readonly facts?: RefusalFacts | undefined
}

function outcomeOf(status: number): Refused['outcome'] {
  switch (status) {
    case 401:
      return 'challenge'
    case 403:
      return 'forbid'
    case 429:
      return 'throttle'
    case 503:
      return 'unavailable'
    default:
      return 'invalid'
  }
}

/**
 * Builds the refusal for a code, with the catalogue's words where nothing better is given.
 */
export function refuse(code: RefusalCode, details: RefusalDetails = {}): Refused {
  const entry = refusalCatalogue[code]
  return {
    outcome: outcomeOf(entry.status),
    code,
    status: entry.status,
    detail: details.detail ?? entry.detail,
    action: details.action ?? entry.action,
    rule: details.rule,
    principal: details.principal,
    scheme: details.scheme,
    note: details.note,
    reason: details.reason,
    clocksDiffer: details.clocksDiffer,
    headers: details.headers,
    facts: details.facts,
    retryAfter: details.retryAfter ?? (entry.status === 429 || entry.status === 503 ? 5 : undefined),
  }
}
