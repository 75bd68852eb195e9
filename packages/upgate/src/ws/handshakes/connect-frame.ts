import type { Credential } from '../../core/contract/credential.ts'
import type {
  Acceptance,
  Declared,
  Dropped,
  Handshake,
  HandshakeContext,
  HandshakeStep,
  Refusal,
} from '../../core/contract/handshake.ts'
import { flag, fn, optional, value, withDefault } from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import { connectCredential } from './connect-credential.ts'
import { type ChallengeState, challengeResponse, connectDevice } from './connect-device.ts'
import { type ConnectRefusal, connectRefusal, type Offered } from './connect-refusals.ts'
import {
  bad,
  isObject,
  type JsonObject,
  optionalString,
  optionalStrings,
  own,
  type Read,
  readObject,
} from './read-frame.ts'

interface VersionRange {
  readonly min: number
  readonly max: number
}

/** Options of {@link connectFrame}. */
export interface ConnectFrameOptions {
  /** Protocol versions this server speaks. Default: 3 to 4. */
  readonly protocol?: VersionRange
  /** Opens with a `connect.challenge` event that carries a nonce, as OpenClaw's gateway does. Default: false. */
  readonly challenge?: boolean
  /**
   * Reads a device's proof (`device`, signed over the nonce of the challenge) and the claim secret of its pairing
   * (`auth.claimSecret`), for the schemes `deviceKey` and `claimSecret`; sends the challenge. Default: false.
   */
  readonly deviceKeys?: boolean
  /**
   * With `deviceKeys`: takes moltis' signature over the nonce alone (`auth.publicKey`), which says neither what the
   * device asked for nor of which server. It is how moltis' normal client proves itself; without the option that client
   * enters by `device_token` only. Default: false.
   */
  readonly dangerouslyAllowNonceOnly?: boolean
  /** Hands the frame to the application, which then answers `hello-ok` itself. Default: false. */
  readonly replay?: boolean
  /**
   * Further fields of the `hello-ok` payload, such as `server`, `features` or `policy`.
   *
   * Default: none.
   */
  readonly hello?: (acceptance: Acceptance) => Readonly<Record<string, unknown>>
}

interface ConnectState extends ChallengeState {
  /** The id of the request; the answer repeats it. */
  id: string | undefined
  version: number | undefined
  offered: Offered
  /** A fault of the request that no credential could mend. */
  problem: 'version' | 'nonce' | undefined
}

type Versions = NonNullable<ConnectFrameOptions['protocol']>
const connectFrameOptions = optionTable<ConnectFrameOptions>()({
  protocol: withDefault(
    value<Versions>('a range of versions, such as { min: 3, max: 4 }', (range) => {
      const { min, max } = (range ?? {}) as Partial<Versions>
      return Number.isInteger(min) && Number.isInteger(max) && (min as number) <= (max as number)
    }),
    { min: 3, max: 4 },
  ),
  // Default: as `deviceKeys`.
  challenge: optional(flag(false)),
  deviceKeys: flag(false),
  dangerouslyAllowNonceOnly: flag(false),
  replay: flag(false),
  hello: optional(fn()),
})

/**
 * The `connect` request of moltis and OpenClaw, protocol versions 3 and 4, answered as those gateways answer.
 *
 * Takes the token in `auth.token`, `auth.deviceToken` or `auth.device_token`, an API key in `auth.api_key`,
 * a password in `auth.password`. The same token in two fields counts once. Two different ones are refused, except a
 * device token next to `auth.token` in a request with `device`: OpenClaw's clients send both after a mismatch.
 *
 * A refusal that another try cannot change stops OpenClaw's clients, and a temporary one does not:
 * `docs/protocol.md` has the table.
 *
 * @param options - versions, challenge and answers; all have defaults
 * @returns the handshake, for a deferred rule
 * @throws TypeError for unknown options and an impossible range of versions.
 * @example
 * { path: '/ws', access: 'deferred', kinds: ['device'], handshake: connectFrame() }
 */
export function connectFrame(options: ConnectFrameOptions = {}): Handshake {
  const read = connectFrameOptions.read('connectFrame', options)
  const { protocol, deviceKeys, replay, hello, dangerouslyAllowNonceOnly: nonceOnly } = read
  const { challenge = deviceKeys } = read
  if (deviceKeys && !challenge) {
    throw new TypeError('connectFrame: `deviceKeys` needs the challenge; leave out `challenge: false`.')
  }
  if (nonceOnly && !deviceKeys) {
    throw new TypeError('connectFrame: `dangerouslyAllowNonceOnly` belongs to `deviceKeys: true`.')
  }

  return {
    name: 'connect',
    ...(challenge && {
      open(context: HandshakeContext): readonly string[] {
        const state = stateOf(context)
        state.nonce = context.randomId(32)
        const payload = { nonce: state.nonce, ts: context.now() }
        return [JSON.stringify({ type: 'event', event: 'connect.challenge', payload })]
      },
    }),
    receive(frame, context): HandshakeStep {
      const state = stateOf(context)
      const message = readObject(frame)
      if (message.rejection) return message.rejection
      const id = own(message.value, 'id')
      if (typeof id !== 'string' || id === '' || id.length > 128) return bad('`id` must be a short string.')
      if (nonceOnly && own(message.value, 'method') === 'node.auth.challenge-response') {
        const step = challengeResponse(message.value, state)
        return step.step === 'credential' ? { ...step, replay } : step
      }
      state.id = id
      if (!isConnect(message.value)) {
        return bad('The first message must be the request `connect`.')
      }
      const params = own(message.value, 'params')
      if (!isObject(params)) return bad('`params` must be an object.')

      const version = negotiate(params, protocol)
      if (version.rejection) {
        state.problem = 'version'
        return version.rejection
      }
      state.version = version.value
      const declared = declaration(params)
      if (declared.rejection) return declared.rejection
      const auth = own(params, 'auth')
      if (auth !== undefined && auth !== null && !isObject(auth))
        return bad('`params.auth` must be an object.')
      state.offered = offeredIn(auth ?? {})
      if (deviceKeys) {
        const found = connectDevice(params, auth ?? {}, declared.value, state, context, nonceOnly)
        if (found.rejection) {
          if (found.rejection.code === 'invalid_credential') state.problem = 'nonce'
          return found.rejection
        }
        if (found.value !== undefined && 'send' in found.value)
          return { step: 'send', frames: found.value.send }
        if (found.value !== undefined) {
          // The device proved its id; a declared one does not count.
          const { id: _, ...rest } = declared.value
          return { step: 'credential', credential: found.value, declared: rest, replay }
        }
      }
      const credential: Read<Credential> = connectCredential(auth ?? {})
      if (credential.rejection) return credential.rejection
      return { step: 'credential', credential: credential.value, declared: declared.value, replay }
    },
    claims(frame) {
      const message = readObject(frame)
      return message.value !== undefined && isConnect(message.value)
    },
    accept(acceptance, context) {
      const { principal, dropped, issued } = acceptance
      if (replay) {
        // The application answers `hello-ok` but does not know the token, so the gate sends it to the device.
        const event = { type: 'event', event: 'pairing.token', payload: issued }
        return issued === undefined ? [] : [JSON.stringify(event)]
      }
      const { id, version } = stateOf(context)
      const warnings = warningsOf(dropped)
      const payload = {
        ...hello?.(acceptance),
        type: 'hello-ok',
        protocol: version,
        auth: { role: principal.roles[0] ?? principal.kind, scopes: principal.scopes, ...issued },
        ...(warnings.length > 0 && { warnings }),
      }
      return [JSON.stringify({ type: 'res', id, ok: true, payload })]
    },
    reject(refusal, context) {
      const state = stateOf(context)
      const words = connectRefusal(refusal, state.offered, state.problem)
      const { closeCode, closeText } = words
      const closeReason = closeText === undefined ? refusal.code : `${refusal.code}: ${closeText}`
      // Without a request there is nothing to answer: those gateways close and say why in the reason.
      if (state.id === undefined) return { frames: [], closeCode, closeReason }
      const error = errorOf(refusal, words, state, protocol)
      return {
        frames: [JSON.stringify({ type: 'res', id: state.id, ok: false, error })],
        closeCode,
        closeReason,
      }
    },
  }
}

function isConnect(message: JsonObject): boolean {
  return own(message, 'type') === 'req' && own(message, 'method') === 'connect'
}

function stateOf(context: HandshakeContext): ConnectState {
  context.state ??= {
    nonce: undefined,
    unsigned: undefined,
    id: undefined,
    version: undefined,
    offered: 'nothing',
    problem: undefined,
  } satisfies ConnectState
  return context.state as ConnectState
}

/** Version 3 sends `minProtocol` and `maxProtocol`, version 4 `protocol: { min, max }`; neither = our oldest. */
function negotiate(params: JsonObject, ours: VersionRange): Read<number> {
  const nested = own(params, 'protocol')
  if (nested !== undefined && !isObject(nested))
    return { rejection: bad('`params.protocol` must be an object.') }
  const min = nested ? own(nested, 'min') : own(params, 'minProtocol')
  const max = nested ? own(nested, 'max') : own(params, 'maxProtocol')
  if (min === undefined && max === undefined) return { value: ours.min }
  const low = min ?? max
  const high = max ?? min
  if (
    typeof low !== 'number' ||
    typeof high !== 'number' ||
    !Number.isInteger(low) ||
    !Number.isInteger(high)
  ) {
    return { rejection: bad('The protocol versions must be whole numbers.') }
  }
  if (low > ours.max || high < ours.min || low > high) {
    return { rejection: bad(`No common protocol version: this server speaks ${ours.min} to ${ours.max}.`) }
  }
  return { value: Math.min(high, ours.max) }
}

function declaration(params: JsonObject): Read<Declared> {
  const role = optionalString(params, 'role')
  if (role.rejection) return { rejection: role.rejection }
  const scopes = optionalStrings(params, 'scopes')
  if (scopes.rejection) return { rejection: scopes.rejection }
  const device = own(params, 'device')
  const id = isObject(device) ? optionalString(device, 'id') : { value: undefined }
  if (id.rejection) return { rejection: id.rejection }
  return { value: { role: role.value, scopes: scopes.value, id: id.value } }
}

function warningsOf(dropped: Dropped | undefined): readonly string[] {
  if (dropped === undefined) return []
  const warnings: string[] = []
  if (dropped.role !== undefined) warnings.push(`role not granted: ${dropped.role}`)
  for (const scope of dropped.scopes ?? []) warnings.push(`scope not granted: ${scope}`)
  if (dropped.id !== undefined) warnings.push(`id not granted: ${dropped.id}`)
  return warnings
}

function errorOf(
  { code, detail, action, retryAfter, facts }: Refusal,
  words: ConnectRefusal,
  state: ConnectState,
  ours: VersionRange,
): Readonly<Record<string, unknown>> {
  const retryAfterMs = retryAfter === undefined ? undefined : Math.ceil(retryAfter * 1000)
  return {
    code: words.error,
    message: detail,
    details: {
      // First, so that no fact can take the place of what every answer has.
      ...facts,
      code: words.details,
      reason: code,
      action,
      recommendedNextStep: words.nextStep,
      canRetryWithDeviceToken: false,
      ...(words.details === 'PAIRING_REQUIRED' && { pauseReconnect: !words.comesBack }),
      // Clients compare it with the number of a version that they could speak instead.
      ...(state.problem === 'version' && { expectedProtocol: ours.max, supportedProtocol: ours }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    },
    retryable: words.comesBack,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

/** The proof in `auth`. OpenClaw's clients send a device token that they stored in `token`, too. */
function offeredIn(auth: JsonObject): Offered {
  const has = (...names: readonly string[]): boolean => names.some((name) => !!own(auth, name))
  if (has('deviceToken')) return 'device-token'
  if (has('token', 'device_token', 'api_key', 'apiKey')) return 'token'
  if (has('bootstrapToken')) return 'bootstrap-token'
  return has('password') ? 'password' : 'nothing'
}
