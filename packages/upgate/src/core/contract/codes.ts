/**
 * Every code a refusal can carry. Codes are stable: clients and dashboards may depend on them.
 * The catalogue with causes and remedies is `docs/errors.md`.
 */
export const refusalCodes = [
  // 401
  'auth_required',
  'invalid_credential',
  'expired_credential',
  'revoked_credential',
  'account_disabled',
  'setup_required',
  // 403
  'unknown_identity',
  'pairing_required',
  'pairing_rejected',
  'kind_not_allowed',
  'scheme_not_allowed',
  'insufficient_scope',
  'role_required',
  'principal_mismatch',
  'edge_mismatch',
  'external_login',
  'origin_refused',
  'host_refused',
  // 429
  'too_many_failures',
  'too_many_sockets',
  // 503
  'unavailable',
  'over_capacity',
  'pairing_full',
  // 400, 404, 405, 426
  'malformed_target',
  'ambiguous_target',
  'duplicate_header',
  'multiple_credentials',
  'malformed_upgrade',
  'unsupported_upgrade',
  'unknown_path',
  'method_refused',
  'upgrade_required',
  // in band
  'bad_handshake',
  'handshake_timeout',
  'too_many_frames',
  'too_big',
] as const

/** A stable refusal code. */
export type RefusalCode = (typeof refusalCodes)[number]
