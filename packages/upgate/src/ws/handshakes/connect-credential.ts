import type { Credential, PasswordCredential, TokenCredential } from '../../core/contract/credential.ts'
import { type JsonObject, missing, optionalString, type Read, type Rejection } from './read-frame.ts'

/** Fields of `auth` that carry a token, with what each says about it. `token` may be any sort. */
const tokenFields: readonly (readonly [name: string, hint: TokenCredential['hint']])[] = [
  ['deviceToken', 'device'],
  ['device_token', 'device'],
  ['api_key', 'api-key'],
  ['apiKey', 'api-key'],
  ['token', undefined],
  ['bootstrapToken', undefined],
]

/** The credentials of a request. `second`: a further token, next to a device token. */
interface Credentials {
  readonly first: TokenCredential | PasswordCredential
  readonly second?: TokenCredential
}

/** Finds the one credential in the `auth` of a `connect` request. */
export function connectCredential(auth: JsonObject): Read<Credential> {
  const found = connectCredentials(auth)
  if (found.rejection) return { rejection: found.rejection }
  if (found.value.second !== undefined) return { rejection: two }
  return { value: found.value.first }
}

/**
 * Finds the credential in the `auth` of a `connect` request, or the two that OpenClaw's clients send after a mismatch: the
 * device token that they stored, and the gateway's token in `token`.
 */
export function connectCredentials(auth: JsonObject): Read<Credentials> {
  const found: TokenCredential[] = []
  let plain: string | undefined
  for (const [name, hint] of tokenFields) {
    const field = optionalString(auth, name)
    if (field.rejection) return { rejection: field.rejection }
    const { value } = field
    if (!value) continue
    if (name === 'token') plain = value
    // A node that has a device token sends it in `token` as well: one credential, not two.
    if (!found.some((other) => other.value === value))
      found.push({ type: 'token', source: 'frame', value, hint })
  }
  const password = optionalString(auth, 'password')
  if (password.rejection) return { rejection: password.rejection }
  const [first, second, ...more] = found
  if (password.value) {
    if (first !== undefined) return { rejection: two }
    return { value: { first: { type: 'password', source: 'frame', value: password.value } } }
  }
  if (first === undefined) {
    return { rejection: missing('`params.auth` carries no token, API key or password.') }
  }
  if (second === undefined) return { value: { first } }
  const isPair = more.length === 0 && first.hint === 'device' && second.value === plain
  return isPair ? { value: { first, second } } : { rejection: two }
}

/** The refusal of more credentials than the request may carry. */
export const two: Rejection = {
  step: 'reject',
  code: 'multiple_credentials',
  detail: '`params.auth` carries two different credentials; send one of them.',
}
