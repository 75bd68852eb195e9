import type { PasswordCredential, TokenCredential } from '../../core/contract/credential.ts'
import type { Acceptance, Declared, Refusal } from '../../core/contract/handshake.ts'
import type { AuthErrorFrame, AuthOkFrame } from '../../protocol.ts'
import { type JsonObject, optionalString, optionalStrings, type Read } from './read-frame.ts'

/** The fields that `auth` and `auth_refresh` messages share. */
export interface AuthFields {
  readonly credential: TokenCredential | PasswordCredential | undefined
  readonly declared: Declared
}

/** Reads the credential and what the client declares out of a message. */
export function readAuth(message: JsonObject): Read<AuthFields> {
  const token = optionalString(message, 'token')
  const password = optionalString(message, 'password')
  const account = optionalString(message, 'account')
  const role = optionalString(message, 'role')
  const scopes = optionalStrings(message, 'scopes')
  for (const field of [token, password, account, role, scopes]) {
    if (field.rejection) return { rejection: field.rejection }
  }
  if (token.value && password.value) {
    const detail = 'Send `token` or `password`, not both.'
    return { rejection: { step: 'reject', code: 'multiple_credentials', detail } }
  }
  const credential: AuthFields['credential'] = token.value
    ? { type: 'token', source: 'frame', value: token.value }
    : password.value
      ? { type: 'password', source: 'frame', value: password.value, account: account.value }
      : undefined
  return { value: { credential, declared: { role: role.value, scopes: scopes.value } } }
}

/** Returns the fields by which an acceptance informs the client. */
export function accepted({ principal, dropped, issued }: Acceptance): Omit<AuthOkFrame, 'type'> {
  const { kind, id, scopes, roles, expiresAt } = principal
  return {
    principal: { kind, id },
    scopes,
    roles,
    ...(expiresAt !== undefined && { expiresAt }),
    ...(dropped && { dropped }),
    ...issued,
  }
}

/** Returns the fields by which a refusal informs the client. */
export function refused({ code, detail, action, retryAfter, facts }: Refusal): Omit<AuthErrorFrame, 'type'> {
  return {
    code,
    message: detail,
    action,
    ...(retryAfter !== undefined && { retryAfter }),
    ...(facts && { facts }),
  }
}
