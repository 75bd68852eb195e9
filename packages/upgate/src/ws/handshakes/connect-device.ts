import type { Credential } from '../../core/contract/credential.ts'
import { type DeviceProof, deviceCredential } from '../../core/contract/device-proof.ts'
import type { Declared, HandshakeContext, HandshakeStep } from '../../core/contract/handshake.ts'
import { connectCredentials, two } from './connect-credential.ts'
import { connectTexts } from './device-text.ts'
import { bad, isObject, type JsonObject, optionalString, own, type Read } from './read-frame.ts'

/** The state of a challenge on one socket. */
export interface ChallengeState {
  /** The nonce of the challenge; the first proof uses it up, so that none is accepted twice. */
  nonce: string | undefined
  /** moltis: the `connect` request that waits for its signature. */
  unsigned: { readonly credential: Unsigned; readonly declared: Declared } | undefined
}

type Unsigned = Pick<Extract<DeviceProof, { by: 'key' }>, 'publicKey' | 'wish' | 'beside'>

/** A credential out of `params`, a challenge to be sent first, or nothing where no device proves itself. */
type Found = Read<Credential | { readonly send: readonly string[] } | undefined>

/**
 * Finds a device's proof in a `connect` request: OpenClaw's `device`, moltis' `auth.publicKey`, or our own
 * `auth.claimSecret`.
 */
export function connectDevice(
  params: JsonObject,
  auth: JsonObject,
  declared: Declared,
  state: ChallengeState,
  context: HandshakeContext,
  nonceOnly: boolean,
): Found {
  const client = own(params, 'client')
  const device = own(params, 'device')
  const fields = strings(isObject(client) ? client : {}, [
    'displayName',
    'id',
    'mode',
    'platform',
    'deviceFamily',
  ])
  const secrets = strings(auth, ['publicKey', 'claimSecret'])
  if (fields.rejection) return fields
  if (secrets.rejection) return secrets
  const signs = isObject(device) && own(device, 'publicKey') !== undefined
  const { publicKey, claimSecret } = secrets.value
  if (Number(signs) + Number(!!publicKey) + Number(!!claimSecret) > 1) {
    const detail = 'Prove the device in one way: `device`, `auth.publicKey` or `auth.claimSecret`.'
    return { rejection: { step: 'reject', code: 'multiple_credentials', detail } }
  }
  if (!signs && !claimSecret && !(publicKey && nonceOnly)) return { value: undefined }

  const along = sentAlong(auth)
  if (along.rejection) return along
  const { first: beside, second } = along.value
  // Which of two tokens such a proof is for cannot be told.
  if (second !== undefined && !signs) return { rejection: two }
  const wish = {
    name: fields.value.displayName ?? fields.value.id,
    role: declared.role,
    scopes: declared.scopes,
    platform: fields.value.platform,
    deviceFamily: fields.value.deviceFamily,
  }
  if (claimSecret) {
    return { value: deviceCredential({ by: 'claim', secret: claimSecret, wish, beside }) }
  }
  if (publicKey) {
    state.unsigned = { credential: { publicKey, wish, beside }, declared }
    state.nonce = context.randomId(32)
    const payload = { nonce: Buffer.from(state.nonce, 'base64url').toString('base64') }
    return { value: { send: [JSON.stringify({ type: 'event', event: 'node.auth.challenge', payload })] } }
  }

  const signed = strings(device as JsonObject, ['id', 'publicKey', 'signature', 'nonce'])
  if (signed.rejection) return signed
  const { id, signature, nonce } = signed.value
  const signedAt = own(device as JsonObject, 'signedAt')
  const ours = state.nonce
  state.nonce = undefined
  if (!id || !signature || !nonce || typeof signedAt !== 'number' || !Number.isSafeInteger(signedAt)) {
    return { rejection: bad('`device` needs `id`, `publicKey`, `signature`, `signedAt` and `nonce`.') }
  }
  if (ours === undefined || nonce !== ours) {
    const detail = 'The nonce is not that of the challenge on this connection.'
    return { rejection: { step: 'reject', code: 'invalid_credential', detail } }
  }
  // The signature covers one token: of two the plain one, as OpenClaw's clients sign, or the device token.
  const tokens = [second, beside].flatMap((each) => (each?.type === 'token' ? [each.value] : []))
  const about = {
    deviceId: id,
    clientId: fields.value.id ?? '',
    mode: fields.value.mode ?? '',
    role: declared.role ?? 'operator',
    scopes: declared.scopes ?? [],
    signedAt,
    nonce: ours,
    platform: fields.value.platform,
    deviceFamily: fields.value.deviceFamily,
  }
  const texts = (tokens.length === 0 ? [''] : tokens).map((token) => connectTexts({ ...about, token }))
  if (texts.includes(undefined)) return { rejection: bad('A signed field holds `|`, or a scope a comma.') }
  return {
    value: deviceCredential({
      by: 'key',
      publicKey: signed.value.publicKey ?? '',
      signature,
      keyId: id,
      signedTexts: texts.flatMap((pair) => pair ?? []),
      // Version 2 of the text says less about the device: it binds nothing.
      covers: texts.flatMap((_, i) => [tokens[i], undefined]),
      signedAt,
      wish,
      beside,
      second,
    }),
  }
}

/** moltis' second message: the signature of the nonce alone. */
export function challengeResponse(message: JsonObject, state: ChallengeState): HandshakeStep {
  const params = own(message, 'params')
  const signature = isObject(params) ? own(params, 'signature') : undefined
  const { unsigned, nonce } = state
  state.unsigned = undefined
  state.nonce = undefined
  if (unsigned === undefined || nonce === undefined || typeof signature !== 'string') {
    return bad('`node.auth.challenge-response` needs a `signature`, once, after its challenge.')
  }
  const { credential, declared } = unsigned
  const signedTexts = [Buffer.from(nonce, 'base64url')]
  return {
    step: 'credential',
    credential: deviceCredential({ by: 'key', signature, signedTexts, ...credential }),
    declared,
  }
}

interface SentAlong {
  readonly first?: DeviceProof['beside']
  readonly second?: DeviceProof['second']
}

/**
 * The credential next to a proof: it introduces an unknown device, or is the token of a known one. Absent where
 * the proof comes alone.
 */
function sentAlong(auth: JsonObject): Read<SentAlong> {
  const found = connectCredentials(auth)
  if (found.rejection) return found.rejection.code === 'auth_required' ? { value: {} } : found
  return found
}

const longest = 512

function strings<const K extends string>(
  object: JsonObject,
  names: readonly K[],
): Read<Partial<Readonly<Record<K, string>>>> {
  const value: Partial<Record<K, string>> = {}
  for (const name of names) {
    const field = optionalString(object, name)
    if (field.rejection) return { rejection: field.rejection }
    if (field.value !== undefined && field.value.length > longest) {
      return { rejection: bad(`\`${name}\` is too long.`) }
    }
    if (field.value) value[name] = field.value
  }
  return { value }
}
