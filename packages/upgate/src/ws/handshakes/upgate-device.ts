import type { PasswordCredential, TokenCredential } from '../../core/contract/credential.ts'
import { type DeviceProof, deviceCredential } from '../../core/contract/device-proof.ts'
import type { Declared, HandshakeContext, HandshakeStep } from '../../core/contract/handshake.ts'
import { deviceAuthText } from '../../protocol.ts'
import { bad, isObject, type JsonObject, optionalString, own, type Rejection } from './read-frame.ts'

/** The nonce of the challenge on this socket; used up by the first proof. */
export interface DeviceState {
  nonce: string | undefined
}

export function deviceStateOf(context: HandshakeContext): DeviceState {
  context.state ??= { nonce: undefined } satisfies DeviceState
  return context.state as DeviceState
}

/** Finds a device's proof in an `auth` message: `device` or `claim`; `undefined` where there is neither. */
export function upgateDevice(
  message: JsonObject,
  declared: Declared,
  beside: TokenCredential | PasswordCredential | undefined,
  state: DeviceState,
): Extract<HandshakeStep, { step: 'credential' }> | Rejection | undefined {
  const device = own(message, 'device')
  const claim = optionalString(message, 'claim')
  const name = optionalString(message, 'name')
  for (const field of [claim, name]) if (field.rejection) return field.rejection
  if (device === undefined && !claim.value) return undefined
  if (device !== undefined && claim.value) {
    return { step: 'reject', code: 'multiple_credentials', detail: 'Send `device` or `claim`, not both.' }
  }
  const wish = { name: name.value, role: declared.role, scopes: declared.scopes }
  const step = (proof: DeviceProof) =>
    ({ step: 'credential', credential: deviceCredential(proof), declared }) as const
  if (claim.value) return step({ by: 'claim', secret: claim.value, wish, beside })

  const { nonce } = state
  state.nonce = undefined
  if (!isObject(device)) return bad('`device` must be an object.')
  const publicKey = own(device, 'publicKey')
  const signature = own(device, 'signature')
  const signedAt = own(device, 'signedAt')
  if (
    typeof publicKey !== 'string' ||
    typeof signature !== 'string' ||
    typeof signedAt !== 'number' ||
    !Number.isSafeInteger(signedAt)
  ) {
    return bad('`device` needs `publicKey`, `signature` and `signedAt`.')
  }
  if (nonce === undefined) return bad('The challenge on this connection was used already; connect again.')
  const token = beside?.type === 'token' ? beside.value : undefined
  const text = deviceAuthText({
    publicKey,
    role: declared.role,
    scopes: declared.scopes,
    signedAt,
    token,
    nonce,
    name: name.value,
  })
  if (text === undefined) return bad('A signed field holds `|`, or a scope a comma.')
  return step({
    by: 'key',
    publicKey,
    signature,
    signedTexts: [text],
    covers: [token],
    signedAt,
    wish,
    beside,
  })
}
