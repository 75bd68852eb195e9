/**
 * Codes and frames of the minimal protocol, for clients. The entry imports no package, and runs in browsers.
 *
 * @example
 * const socket = new WebSocket('wss://gateway.example.com/ws')
 * socket.onopen = () => socket.send(authFrame({ token }))
 * socket.onmessage = ({ data }) => {
 *   const frame = parseServerFrame(data)
 *   if (frame?.type === 'auth_ok') console.log('in, as', frame.principal.id)
 * }
 * socket.onclose = ({ code }) => console.log('next step:', adviceFor(code))
 *
 * @module
 */

import { type RefusalCode, refusalCodes } from './core/contract/codes.ts'

export {
  type ClientFamily,
  type CloseCodes,
  closeCodesOf,
  type EndReason,
} from './core/contract/client-families.ts'
export { type RefusalCode, refusalCodes }

/**
 * Close codes of refused and ended sockets (RFC 6455 section 7.4), with what a client should do.
 *
 * Protocols may map them to their own: `connectFrame` uses 1008, as its gateways do.
 */
export const closeCodes = {
  goingAway: 1001,
  tooBig: 1009,
  internalError: 1011,
  restart: 1012,
  tryAgainLater: 1013,
  badHandshake: 4400,
  unauthorized: 4401,
  forbidden: 4403,
  timeout: 4408,
  tooMany: 4429,
} as const

/** The next step of a client after a close code. */
export type CloseAdvice =
  /** Trying again gives the same answer: stop, and tell a person. */
  | 'stop'
  /** Fetch a new credential, then try once more. */
  | 'renew'
  /** Wait, longer at every failure, and try again. */
  | 'back_off'
  /** Wait 30 seconds or more, longer at every failure. */
  | 'back_off_long'
  /** Wait a random 0 to 5 seconds, then try again with growing pauses. */
  | 'reconnect'

/**
 * Names the next step of a client after a close code; `reconnect` for codes of other protocols.
 *
 * @param closeCode - of the close event; numbers from 1000 to 4999
 * @returns one of {@link CloseAdvice}; never throws
 * @example
 * socket.addEventListener('close', ({ code }) => {
 *   if (adviceFor(code) === 'stop') showSettings()
 *   else connectAgain()
 * })
 */
export function adviceFor(closeCode: number): CloseAdvice {
  switch (closeCode) {
    case closeCodes.badHandshake:
    case closeCodes.forbidden:
    case closeCodes.tooBig:
    case 1008:
      return 'stop'
    case closeCodes.unauthorized:
      return 'renew'
    case closeCodes.timeout:
    case closeCodes.tryAgainLater:
    case closeCodes.internalError:
      return 'back_off'
    case closeCodes.tooMany:
      return 'back_off_long'
    default:
      return 'reconnect'
  }
}

/**
 * The close code for a refusal, where the protocol has none of its own.
 *
 * @param code - of a refusal
 * @returns 1009, 1013, or 4400 to 4429, as in {@link closeCodes}; never throws
 * @example
 * closeCodeFor('revoked_credential') // 4401
 */
export function closeCodeFor(code: RefusalCode): number {
  switch (code) {
    case 'auth_required':
    case 'invalid_credential':
    case 'expired_credential':
    case 'revoked_credential':
    case 'setup_required':
      return closeCodes.unauthorized
    case 'account_disabled':
    case 'unknown_identity':
    case 'pairing_required':
    case 'pairing_rejected':
    case 'kind_not_allowed':
    case 'scheme_not_allowed':
    case 'insufficient_scope':
    case 'role_required':
    case 'principal_mismatch':
    case 'edge_mismatch':
    case 'external_login':
    case 'origin_refused':
    case 'host_refused':
      return closeCodes.forbidden
    case 'handshake_timeout':
      return closeCodes.timeout
    case 'too_many_failures':
    case 'too_many_sockets':
    case 'too_many_frames':
      return closeCodes.tooMany
    case 'too_big':
      return closeCodes.tooBig
    case 'unavailable':
    case 'over_capacity':
    case 'pairing_full':
      return closeCodes.tryAgainLater
    default:
      return closeCodes.badHandshake
  }
}

/** Client to server, the first frame: its credential. Exactly one of `token` and `password`. */
export interface AuthFrame {
  /** Says that this is the first frame. */
  readonly type: 'auth'
  /** An API key, a device token, a session, a ticket or a shared token, as text. */
  readonly token?: string
  /** A password as typed, for gates with the scheme `password`. */
  readonly password?: string
  /** The account the password is for, where there is more than one. */
  readonly account?: string
  /** Narrows what the credential's record grants; it never adds to it. */
  readonly role?: string
  /** Narrows the scopes to these, exact names. Default: all that the record grants. */
  readonly scopes?: readonly string[]
  /** The proof of a key: signed over {@link deviceAuthText}, after the server's `auth_challenge`. */
  readonly device?: DeviceSignature
  /** Without a key: 32 random bytes in base64url, made by the device, the same until it has its token. */
  readonly claim?: string
  /** With `device` or `claim`: a name for people. */
  readonly name?: string
}

/** How a device proves its key. */
export interface DeviceSignature {
  /** The 32 raw bytes of the Ed25519 public key in base64url. */
  readonly publicKey: string
  /** The 64 bytes of the signature in base64url. */
  readonly signature: string
  /** Milliseconds since the epoch, at most two minutes from the server's clock. */
  readonly signedAt: number
}

/** Server to client, first, where devices may prove a key. */
export interface AuthChallengeFrame {
  /** Says that this is a challenge. */
  readonly type: 'auth_challenge'
  /** To be signed; good for one proof on this socket. */
  readonly nonce: string
  /** The server's clock, in milliseconds since the epoch. */
  readonly time: number
}

/** Server to client: accepted. Application data follows. */
export interface AuthOkFrame {
  /** Says that the credential was accepted. */
  readonly type: 'auth_ok'
  /** The kind and the id of the principal that the credential proved. */
  readonly principal: { readonly kind: 'user' | 'device' | 'service'; readonly id: string }
  /** The scopes of the principal; an empty list grants nothing that needs a scope. */
  readonly scopes: readonly string[]
  /** The roles of the principal. */
  readonly roles: readonly string[]
  /** Milliseconds since the epoch at which the socket will be closed with 4401. */
  readonly expiresAt?: number
  /** Declared by the client and not granted. */
  readonly dropped?: { readonly role?: string; readonly scopes?: readonly string[]; readonly id?: string }
  /** Made on this occasion and shown once: the device keeps it, and uses it over HTTP, too. */
  readonly deviceToken?: string
}

/** Server to client: refused. The close frame follows within two seconds. */
export interface AuthErrorFrame {
  /** Says that the credential was refused. */
  readonly type: 'auth_error'
  /** Stable: programs compare it, and {@link closeCodeFor} names its close code. */
  readonly code: RefusalCode
  /** One sentence for people. */
  readonly message: string
  /** The next step for the client, as a sentence for people. */
  readonly action: string
  /** Seconds after which trying again makes sense. */
  readonly retryAfter?: number
  /**
   * Facts that the client needs for its next step; with `pairing_required`: `requestId`, `comparisonCode` and
   * `expiresAt`.
   */
  readonly facts?: Readonly<Record<string, string | number | boolean>>
}

/** Client to server, on an accepted socket: a newer credential of the same principal. */
export interface AuthRefreshFrame extends Omit<AuthFrame, 'type' | 'device' | 'claim' | 'name'> {
  /** Says that the credential is to replace the present one. */
  readonly type: 'auth_refresh'
}

/** Server to client: the newer credential counts. The socket goes on. */
export interface AuthRefreshedFrame extends Omit<AuthOkFrame, 'type'> {
  /** Says that the newer credential was accepted. */
  readonly type: 'auth_refreshed'
}

/** Server to client: it does not. The socket goes on as before; where it does not, the close frame follows at once. */
export interface AuthRefreshFailedFrame extends Omit<AuthErrorFrame, 'type'> {
  /** Says that the newer credential was refused. */
  readonly type: 'auth_refresh_failed'
}

/** Server to client: time for an `auth_refresh`. */
export interface AuthExpiringFrame {
  /** Says that the credential of the socket expires soon. */
  readonly type: 'auth_expiring'
  /** Milliseconds since the epoch at which the socket will be closed with 4401. */
  readonly expiresAt: number
  /** The server's clock, in milliseconds since the epoch. */
  readonly time: number
}

/** The text of a frame; throws a `TypeError` for what has no fields. */
function textOf(where: string, type: string, frame: object): string {
  if (Object.prototype.toString.call(frame) !== '[object Object]') {
    throw new TypeError(`${where}: the frame must be an object with the fields of \`${type}\`.`)
  }
  return JSON.stringify({ type, ...frame })
}

/**
 * The text of the first frame of a client.
 *
 * @param frame - the fields of {@link AuthFrame} except `type`
 * @throws TypeError for a value without fields
 * @example
 * socket.send(authFrame({ token }))
 */
export function authFrame(frame: Omit<AuthFrame, 'type'>): string {
  return textOf('authFrame', 'auth', frame)
}

/**
 * The text of the frame by which an accepted client renews its credential.
 *
 * @param frame - the fields of {@link AuthRefreshFrame} except `type`
 * @throws TypeError for a value without fields
 * @example
 * socket.send(authRefreshFrame({ token: await fetchToken() }))
 */
export function authRefreshFrame(frame: Omit<AuthRefreshFrame, 'type'>): string {
  return textOf('authRefreshFrame', 'auth_refresh', frame)
}

/** The fields that a device signs: the same values as in its `auth` frame. */
export interface DeviceAuthFields {
  /** The 32 raw bytes of the Ed25519 public key in base64url. */
  readonly publicKey: string
  /** As in the frame. Default: empty. */
  readonly role?: string | undefined
  /** As in the frame, in the same order. Default: none. */
  readonly scopes?: readonly string[] | undefined
  /** Milliseconds since the epoch, at most two minutes from the server's clock. */
  readonly signedAt: number
  /** The credential that the frame carries in `token`. Default: empty. */
  readonly token?: string | undefined
  /** Of the server's `auth_challenge` on this socket. */
  readonly nonce: string
  /** As in the frame. Default: empty. */
  readonly name?: string | undefined
}

/**
 * The text that a device signs with its Ed25519 key (UTF-8).
 *
 * `upgate-device-v1|publicKey|role|scopes,|signedAt|token|nonce|name`, empty where a field is absent. `undefined`
 * where a field other than the name holds `|`, or a scope a comma: it could be read in two ways.
 *
 * @param fields - the values that the `auth` frame carries as well
 * @throws TypeError for a field that is missing or of the wrong type
 * @example
 * const text = deviceAuthText({ publicKey, signedAt: Date.now(), nonce: challenge.nonce })
 */
export function deviceAuthText(fields: DeviceAuthFields): string | undefined {
  const { publicKey, role = '', scopes = [], signedAt, token = '', nonce, name = '' } = fields ?? {}
  const texts = [publicKey, role, token, nonce, name, ...(Array.isArray(scopes) ? scopes : [undefined])]
  if (!Number.isFinite(signedAt) || texts.some((text) => typeof text !== 'string')) {
    throw new TypeError(
      'deviceAuthText: needs `publicKey`, `nonce` and `signedAt`; `scopes` is a list, all else text.',
    )
  }
  if (scopes.some((scope) => scope.includes(','))) return undefined
  const head = ['upgate-device-v1', publicKey, role, scopes.join(','), String(signedAt), token, nonce]
  if (head.some((field) => field.includes('|'))) return undefined
  return [...head, name].join('|')
}

/**
 * The text of the frame that challenges.
 *
 * @param frame - the fields of {@link AuthChallengeFrame} except `type`
 * @throws TypeError for a value without fields
 * @example
 * socket.send(authChallengeFrame({ nonce, time: Date.now() }))
 */
export function authChallengeFrame(frame: Omit<AuthChallengeFrame, 'type'>): string {
  return textOf('authChallengeFrame', 'auth_challenge', frame)
}

/**
 * The text of the frame that accepts.
 *
 * @param frame - the fields of {@link AuthOkFrame} except `type`
 * @throws TypeError for a value without fields
 * @example
 * const text = authOkFrame({ principal: { kind: 'device', id: 'kitchen' }, scopes: [], roles: ['node'] })
 */
export function authOkFrame(frame: Omit<AuthOkFrame, 'type'>): string {
  return textOf('authOkFrame', 'auth_ok', frame)
}

/**
 * The text of the frame that refuses.
 *
 * @param frame - the fields of {@link AuthErrorFrame} except `type`
 * @throws TypeError for a value without fields
 * @example
 * socket.send(authErrorFrame({ code: 'auth_required', message: 'No credential came.', action: 'Send one.' }))
 */
export function authErrorFrame(frame: Omit<AuthErrorFrame, 'type'>): string {
  return textOf('authErrorFrame', 'auth_error', frame)
}

/**
 * The text of the frame that says that a newer credential counts.
 *
 * @param frame - the fields of {@link AuthRefreshedFrame} except `type`
 * @throws TypeError for a value without fields
 * @example
 * const text = authRefreshedFrame({ principal: { kind: 'user', id: 'alice' }, scopes: [], roles: [] })
 */
export function authRefreshedFrame(frame: Omit<AuthRefreshedFrame, 'type'>): string {
  return textOf('authRefreshedFrame', 'auth_refreshed', frame)
}

/**
 * The text of the frame that says that it does not.
 *
 * @param frame - the fields of {@link AuthRefreshFailedFrame} except `type`
 * @throws TypeError for a value without fields
 * @example
 * const text = authRefreshFailedFrame({ code: 'expired_credential', message: 'It has expired.', action: 'Fetch another.' })
 */
export function authRefreshFailedFrame(frame: Omit<AuthRefreshFailedFrame, 'type'>): string {
  return textOf('authRefreshFailedFrame', 'auth_refresh_failed', frame)
}

/**
 * The text of the frame that asks for a newer credential.
 *
 * @param frame - the fields of {@link AuthExpiringFrame} except `type`
 * @throws TypeError for a value without fields
 * @example
 * socket.send(authExpiringFrame({ expiresAt, time: Date.now() }))
 */
export function authExpiringFrame(frame: Omit<AuthExpiringFrame, 'type'>): string {
  return textOf('authExpiringFrame', 'auth_expiring', frame)
}

/** A frame by which the server speaks about authentication. */
export type AuthServerFrame =
  | AuthOkFrame
  | AuthErrorFrame
  | AuthChallengeFrame
  | AuthRefreshedFrame
  | AuthRefreshFailedFrame
  | AuthExpiringFrame

/**
 * Reads a frame of the server; answers `undefined` for every other message, application data included. Never throws.
 *
 * It checks the type and the fields that tell the frames apart. Take the other fields for what a server says,
 * not for verified facts.
 *
 * @param text - of one text message
 * @returns the frame, or `undefined`
 * @example
 * socket.addEventListener('message', ({ data }) => {
 *   const frame = parseServerFrame(data)
 *   if (frame === undefined) return handle(data)
 *   if (frame.type === 'auth_ok') start(frame.principal)
 * })
 */
export function parseServerFrame(text: string): AuthServerFrame | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const frame = value as Partial<Record<string, unknown>>
  switch (frame.type) {
    case 'auth_ok':
    case 'auth_refreshed':
      return typeof frame.principal === 'object' && frame.principal !== null
        ? (value as AuthOkFrame | AuthRefreshedFrame)
        : undefined
    case 'auth_error':
    case 'auth_refresh_failed':
      return typeof frame.code === 'string' && typeof frame.message === 'string'
        ? (value as AuthErrorFrame | AuthRefreshFailedFrame)
        : undefined
    case 'auth_challenge':
      return typeof frame.nonce === 'string' ? (value as AuthChallengeFrame) : undefined
    case 'auth_expiring':
      return typeof frame.expiresAt === 'number' ? (value as AuthExpiringFrame) : undefined
    default:
      return undefined
  }
}
