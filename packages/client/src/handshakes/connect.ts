import { type Check, checkAll, isPlain, text, texts } from '../check.ts'
import type { Credential } from '../credential.ts'
import type { ClientHandshake, Conversation, ConversationStep } from '../handshake.ts'
import { type JsonObject, objectOf, readObject, textOf, textsOf } from './json.ts'
import { kindOf } from './kind.ts'

/** Options of {@link connectHandshake}. */
export interface ConnectHandshakeOptions {
  /** The client's name and version, as the gateway shows them. */
  readonly client?: {
    /** Default: `node-host`. OpenClaw's gateway takes the ids of its own list only; it has no other one for a node. */
    readonly id?: string
    /** Default: `1`. */
    readonly version?: string
    /** Default: `unknown`. */
    readonly platform?: string
    /** Default: `node`. */
    readonly mode?: string
    readonly displayName?: string
    readonly deviceFamily?: string
  }
  /** Default: `node`. */
  readonly role?: string
  /** Default: none. */
  readonly scopes?: readonly string[]
  /** Versions that this client speaks. Default: 3 to 4. */
  readonly protocol?: { readonly min: number; readonly max: number }
  /** The field of `auth` that carries a token. Default: `deviceToken`; a gateway's shared token goes into `token`. */
  readonly tokenAs?: 'deviceToken' | 'token' | 'api_key'
  /** Further parameters, such as `caps` and `commands`. */
  readonly params?: Readonly<Record<string, unknown>>
}

/**
 * The `connect` request of OpenClaw, moltis and gates with `connectFrame`, versions 3 and 4: tokens, passwords, device
 * keys (Ed25519 over the gateway's nonce) and pairing.
 */
export function connectHandshake(options: ConnectHandshakeOptions = {}): ClientHandshake {
  checkAll('connectHandshake', options, checks)
  checkAll('connectHandshake', options.client ?? {}, clientChecks, 'client')
  checkAll('connectHandshake', options.protocol ?? {}, rangeChecks, 'protocol')
  const {
    role = 'node',
    scopes = [],
    protocol = { min: 3, max: 4 },
    tokenAs = 'deviceToken',
    params = {},
  } = options
  const client = { id: 'node-host', version: '1', platform: 'unknown', mode: 'node', ...options.client }
  const { min, max } = protocol
  if (!Number.isInteger(min) || !Number.isInteger(max) || min > max) {
    throw new TypeError(
      'connectHandshake: `protocol` must be a range of versions, such as { min: 3, max: 4 }.',
    )
  }
  // The flat spelling of the versions: version 4 takes both, and OpenClaw's gateway refuses parameters that it does not know.
  const common = { minProtocol: min, maxProtocol: max, role, scopes, ...params }
  const request = (more: JsonObject): string =>
    JSON.stringify({ type: 'req', id: 'connect', method: 'connect', params: { ...common, client, ...more } })

  const signed = async (credential: Device, challenge: { nonce: string; ts: number }): Promise<string> => {
    const { device, code, token, name } = credential
    const who = name === undefined ? client : { ...client, displayName: name }
    const presented = token ?? code ?? ''
    const plain = (text = ''): string => text.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    const fields = [
      'v3',
      device.id,
      client.id,
      client.mode,
      role,
      scopes.join(','),
      String(challenge.ts),
      presented,
      challenge.nonce,
      plain(client.platform),
      plain(client.deviceFamily),
    ]
    if (fields.some((field) => field.includes('|'))) {
      throw new TypeError('connectHandshake: no signed field (client, role, scopes, token) may hold `|`.')
    }
    const signature = await device.sign(fields.join('|'))
    const { id, publicKey } = device
    return request({
      client: who,
      auth:
        token !== undefined
          ? { token, deviceToken: token }
          : code !== undefined
            ? { bootstrapToken: code }
            : {},
      device: { id, publicKey, signature, signedAt: challenge.ts, nonce: challenge.nonce },
    })
  }

  return {
    name: 'connect',
    kindOf,
    begin(credential): Conversation {
      let sent = credential === undefined || !isDevice(credential)
      return {
        opened() {
          if (credential !== undefined && isDevice(credential)) return []
          return [request({ auth: authOf(credential, tokenAs) })]
        },
        async receive(text): Promise<ConversationStep> {
          const message = readObject(text)
          const challenge = challengeOf(message)
          if (challenge !== undefined && !sent && credential !== undefined && isDevice(credential)) {
            sent = true
            return { step: 'send', frames: [await signed(credential, challenge)] }
          }
          if (message?.type !== 'res' || message.id !== 'connect') return { step: 'wait' }
          if (message.ok !== true) return { step: 'refused' }
          const payload = objectOf(message.payload)
          const auth = objectOf(payload?.auth)
          const given = textOf(auth?.role)
          const deviceToken = textOf(auth?.deviceToken)
          return {
            step: 'accepted',
            acceptance: {
              roles: given === undefined ? [] : [given],
              scopes: textsOf(auth?.scopes),
              ...(deviceToken !== undefined && { deviceToken }),
              raw: payload,
            },
          }
        },
      }
    },
  }
}

const anObject: Check = { is: isPlain, expected: 'an object' }
const version: Check = { is: Number.isInteger, expected: 'the number of a version' }
const rangeChecks = { min: version, max: version }
const clientChecks: { readonly [Name in keyof NonNullable<ConnectHandshakeOptions['client']>]-?: Check } = {
  id: text(),
  version: text(),
  platform: text(),
  mode: text(),
  displayName: text(),
  deviceFamily: text(),
}
const checks: { readonly [Name in keyof ConnectHandshakeOptions]-?: Check } = {
  client: anObject,
  role: text(),
  scopes: texts('a list of scopes'),
  protocol: { is: isPlain, expected: 'a range of versions, such as { min: 3, max: 4 }' },
  tokenAs: text("'deviceToken', 'token' or 'api_key'", /^(?:deviceToken|token|api_key)$/),
  params: anObject,
}

type Device = Extract<Credential, { readonly device: unknown }>

function isDevice(credential: Credential): credential is Device {
  return typeof credential === 'object' && 'device' in credential
}

function challengeOf(message: JsonObject | undefined): { nonce: string; ts: number } | undefined {
  if (message?.type !== 'event' || message.event !== 'connect.challenge') return undefined
  const { nonce, ts } = objectOf(message.payload) ?? {}
  return typeof nonce === 'string' && typeof ts === 'number' ? { nonce, ts } : undefined
}

function authOf(credential: Credential | undefined, tokenAs: string): JsonObject {
  if (credential === undefined) return {}
  if (typeof credential === 'string') return { [tokenAs]: credential }
  if ('password' in credential) return { password: credential.password }
  if ('claim' in credential) {
    const { claim, code } = credential
    return { claimSecret: claim, ...(code !== undefined && { bootstrapToken: code }) }
  }
  return 'token' in credential && credential.token !== undefined ? { [tokenAs]: credential.token } : {}
}
