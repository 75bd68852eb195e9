import type { Credential, TokenCredential } from '../../core/contract/credential.ts'
import { type JsonObject, missing, optionalString, type Read } from './read-frame.ts'

/** Fields of `auth` that carry a token, with what each says about it. `token` may be any sort. */
const tokenFields: readonly (readonly [name: string, hint: TokenCredential['hint']])[] = [
  ['deviceToken', 'device'],
  ['device_token', 'device'],
  ['api_key', 'api-key'],
  ['apiKey', 'api-key'],
  ['token', undefined],
  ['bootstrapToken', undefined],
]

/** Finds the one credential in the `auth` of a `connect` request. */
export function connectCredential(auth: JsonObject): Read<Credential> {
  const found: Credential[] = []
  for (const [name, hint] of tokenFields) {
    const field = optionalString(auth, name)
    if (field.rejection) return { rejection: field.rejection }
    if (!field.value) continue
    // A node that has a device token sends it in `token` as well: one credential, not two.
    if (!found.some((other) => other.value === field.value)) {
      found.push({ type: 'token', source: 'frame', value: field.value, hint })
    }
  }
  const password = optionalString(auth, 'password')
  if (password.rejection) return { rejection: password.rejection }
  if (password.value) found.push({ type: 'password', source: 'frame', value: password.value })

  const [credential, second] = found
  if (credential === undefined) {
    return { rejection: missing('`params.auth` carries no token, API key or password.') }
  }
  if (second !== undefined) {
    const detail = '`params.auth` carries two different credentials; send one of them.'
    return { rejection: { step: 'reject', code: 'multiple_credentials', detail } }
  }
  return { value: credential }
}
