import type { Said } from './refusal.ts'

/** Codes of `connect` gateways (OpenClaw, moltis) that mean the same as one of a gate's. */
const connectCodes: Readonly<Record<string, string>> = {
  AUTH_REQUIRED: 'auth_required',
  AUTH_TOKEN_MISSING: 'auth_required',
  AUTH_PASSWORD_MISSING: 'auth_required',
  AUTH_TOKEN_MISMATCH: 'invalid_credential',
  AUTH_PASSWORD_MISMATCH: 'invalid_credential',
  AUTH_DEVICE_TOKEN_MISMATCH: 'invalid_credential',
  AUTH_BOOTSTRAP_TOKEN_INVALID: 'invalid_credential',
  AUTH_UNAUTHORIZED: 'invalid_credential',
  AUTH_SCOPE_MISMATCH: 'insufficient_scope',
  AUTH_RATE_LIMITED: 'too_many_failures',
  PAIRING_REQUIRED: 'pairing_required',
  NOT_PAIRED: 'pairing_required',
  CONTROL_UI_ORIGIN_NOT_ALLOWED: 'origin_refused',
  INVALID_HANDSHAKE: 'bad_handshake',
  UNAVAILABLE: 'unavailable',
  AUTH_NOT_AUTHENTICATED: 'auth_required',
  AUTH_SETUP_REQUIRED: 'setup_required',
  auth_invalid: 'invalid_credential',
}

/** Words in the reasons of 1008, of programs that send no frame before it. */
const reasonWords: readonly (readonly [RegExp, string])[] = [
  [/pairing required|not paired/i, 'pairing_required'],
  [/token mismatch|password mismatch|unauthorized|invalid token/i, 'invalid_credential'],
  [/token missing|password missing|auth(?:entication)? required/i, 'auth_required'],
  [/origin not allowed/i, 'origin_refused'],
]

/** The refusal that the marker, a frame, a problem document or a close reason names; not yet one that is known. */
export function refusalCode(seen: {
  readonly answer: { readonly marker: string | undefined; readonly said: Said | undefined } | undefined
  readonly said: Said | undefined
  readonly close: { readonly code: number; readonly reason: string } | undefined
}): string | undefined {
  const { answer, said, close } = seen
  if (answer !== undefined) return answer.marker ?? answer.said?.refusal
  if (said !== undefined) {
    if (said.refusal !== undefined && /^[a-z][a-z\d_]{1,63}$/.test(said.refusal)) return said.refusal
    return Object.hasOwn(connectCodes, said.code) ? connectCodes[said.code] : said.code
  }
  if (close === undefined || close.reason === '') return undefined
  if (/^[a-z][a-z\d_]{1,63}$/.test(close.reason)) return close.reason
  return close.code === 1008 ? reasonWords.find(([words]) => words.test(close.reason))?.[1] : undefined
}
