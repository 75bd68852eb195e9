import type { RevocationReason } from '../ports/revocations.ts'
import type { RefusalCode } from './codes.ts'

/** Why the gate closes an accepted socket. */
export type EndReason =
  | RevocationReason
  | 'principal_mismatch'
  | 'too_many_failures'
  | 'too_many_frames'
  | 'internal_error'
  | 'shutdown'
  | 'restart'

/** Client libraries that read close codes in a way of their own. */
export type ClientFamily = 'graphql-ws' | 'centrifuge'

/** The close codes of one family of clients. `undefined`: its clients understand the standard code. */
export interface CloseCodes {
  /** For a socket that is refused. */
  refused(code: RefusalCode): number | undefined
  /** For an accepted socket that the gate ends. */
  ended(reason: EndReason): number | undefined
}

interface Meanings {
  /** Another try with the same credential fails again. */
  readonly invalid: number
  /** The credential expired, was replaced or narrowed: a new socket, with a new credential if there is one. */
  readonly renew: number
  readonly forbidden: number
  readonly malformed: number
  /** A temporary refusal: the same credential may count later. */
  readonly later: number
  /** The credential of an accepted socket was taken away. */
  readonly revoked: number
}

const meanings: Readonly<Record<ClientFamily, Meanings>> = {
  // Fatal: 4400, 4401, 4429, 1002 and others. It connects again after 4403, with the answer of `connectionParams`.
  'graphql-ws': { invalid: 4401, renew: 4403, forbidden: 4401, malformed: 4400, later: 1013, revoked: 4401 },
  // Final: 3500 to 3999 and 4500 to 4999, the rest is not. These are the codes of Centrifugo.
  centrifuge: { invalid: 3500, renew: 3005, forbidden: 3507, malformed: 3501, later: 3004, revoked: 3503 },
}

/** The families by name. */
export const clientFamilies: readonly ClientFamily[] = Object.keys(meanings) as ClientFamily[]

/**
 * Close codes by which the clients of a family stop where a refusal is final, and come back where it is not.
 *
 * @param family - the client library, such as `graphql-ws`
 * @returns functions from a refusal code, or the reason of an end, to a close code; `undefined` stands for the
 * standard code
 * @throws TypeError for an unknown family
 * @example
 * closeCodesOf('graphql-ws').ended('expired') // 4403
 */
export function closeCodesOf(family: ClientFamily): CloseCodes {
  const meaning = Object.hasOwn(meanings, family) ? meanings[family] : undefined
  if (meaning === undefined) {
    throw new TypeError(`closeCodesOf: the family must be ${clientFamilies.join(' or ')}.`)
  }
  return {
    refused: (code) => {
      const named = refusals[code]
      return named === 'standard' ? undefined : meaning[named]
    },
    ended: (reason) => {
      const named = ends[reason]
      return named === 'standard' ? undefined : meaning[named]
    },
  }
}

const refusals: Readonly<Record<RefusalCode, keyof Meanings | 'standard'>> = {
  auth_required: 'invalid',
  invalid_credential: 'invalid',
  expired_credential: 'renew',
  revoked_credential: 'invalid',
  account_disabled: 'forbidden',
  setup_required: 'invalid',
  unknown_identity: 'forbidden',
  pairing_required: 'renew',
  pairing_rejected: 'forbidden',
  pairing_full: 'later',
  kind_not_allowed: 'forbidden',
  scheme_not_allowed: 'forbidden',
  insufficient_scope: 'forbidden',
  role_required: 'forbidden',
  principal_mismatch: 'forbidden',
  edge_mismatch: 'forbidden',
  external_login: 'forbidden',
  origin_refused: 'forbidden',
  host_refused: 'forbidden',
  too_many_failures: 'later',
  too_many_sockets: 'later',
  unavailable: 'later',
  over_capacity: 'later',
  malformed_target: 'malformed',
  ambiguous_target: 'malformed',
  duplicate_header: 'malformed',
  multiple_credentials: 'malformed',
  malformed_upgrade: 'malformed',
  unsupported_upgrade: 'malformed',
  unknown_path: 'malformed',
  method_refused: 'malformed',
  upgrade_required: 'malformed',
  bad_handshake: 'malformed',
  handshake_timeout: 'later',
  too_many_frames: 'later',
  // 1009 stops the clients of both families.
  too_big: 'standard',
}

const ends: Readonly<Record<EndReason, keyof Meanings | 'standard'>> = {
  expired: 'renew',
  rotated: 'renew',
  narrowed: 'renew',
  revoked: 'revoked',
  disabled: 'revoked',
  logged_out: 'revoked',
  unavailable: 'later',
  principal_mismatch: 'forbidden',
  too_many_failures: 'later',
  too_many_frames: 'later',
  internal_error: 'later',
  // 1001 and 1012 bring the clients of both families back.
  shutdown: 'standard',
  restart: 'standard',
}
