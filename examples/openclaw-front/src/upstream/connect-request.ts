import type { UpstreamConfig } from '../config.ts'
import { isObject, type Json, parseObject, stringIn } from '../sockets/json.ts'
import type { NodeIdentity } from './identity.ts'

/** The challenge with which the gateway opens a socket. */
export interface Challenge {
  readonly nonce: string
  /** Milliseconds since the epoch: the time that a proof has to carry. */
  readonly ts: number
  /** As it arrived. */
  readonly text: string
}

/** Reads the first message of the gateway; `undefined` for anything but a challenge. */
export function challengeOf(data: unknown, isBinary: boolean): Challenge | undefined {
  if (isBinary) return undefined
  const text = String(data)
  const message = parseObject(text)
  const payload = message?.event === 'connect.challenge' ? message.payload : undefined
  if (!isObject(payload)) return undefined
  const { nonce, ts } = payload
  if (typeof nonce !== 'string' || nonce === '' || nonce.length > 512 || !Number.isSafeInteger(ts))
    return undefined
  return { nonce, ts: ts as number, text }
}

/** Fields of a node's request that reach the gateway: statements about the node that are no credential. */
const passedOn = ['caps', 'commands', 'permissions', 'pathEnv', 'locale', 'userAgent'] as const

/**
 * The request with which the front connects a node that it accepted: the node's own statements, in the role `node`, with
 * the proof and the secret of the front in place of the node's.
 */
export function connectAs(
  identity: NodeIdentity,
  node: Json,
  { nonce, ts }: Challenge,
  secret: UpstreamConfig['secret'],
): string {
  const given = isObject(node.params) ? node.params : {}
  const client = clientOf(given)
  const params: Record<string, unknown> = { ...versionsOf(given), client }
  for (const name of passedOn) if (Object.hasOwn(given, name)) params[name] = given[name]
  const [id, mode] = [stringIn(client, 'id'), stringIn(client, 'mode')]
  const [platform, family] = [plain(stringIn(client, 'platform')), plain(stringIn(client, 'deviceFamily'))]
  const token = secret !== undefined && 'token' in secret ? secret.token : ''
  // A text in which a field holds the separator could be read in two ways.
  if ([id, mode, platform, family].some((field) => field.includes('|')))
    throw new Error('A signed field holds `|`.')
  // Version 3 of the signed text.
  const text = ['v3', identity.id, id, mode, 'node', '', String(ts), token, nonce, platform, family].join('|')
  return JSON.stringify({
    type: 'req',
    id: node.id,
    method: 'connect',
    ...(node.traceparent !== undefined && { traceparent: node.traceparent }),
    params: {
      ...params,
      role: 'node',
      scopes: [],
      ...(secret !== undefined && { auth: secret }),
      device: {
        id: identity.id,
        publicKey: identity.publicKey,
        signature: identity.sign(text),
        signedAt: ts,
        nonce,
      },
    },
  })
}

/** The versions as this gateway takes them; other gateways of the protocol put them into an object. */
function versionsOf({ protocol, minProtocol, maxProtocol }: Json): Json {
  const { min = minProtocol, max = maxProtocol } = isObject(protocol) ? protocol : {}
  return { minProtocol: min ?? 3, maxProtocol: max ?? 4 }
}

/**
 * The program, as a node. The gateway refuses programs that are not on its list, and trusts some of those on it more when
 * they connect from its own machine, as the front does; all of these are a node without a screen.
 */
function clientOf({ client }: Json): Json {
  const given = isObject(client) ? client : {}
  const known = knownClients.has(stringIn(given, 'id'))
  const version = stringIn(given, 'version') || 'unknown'
  const platform = stringIn(given, 'platform') || 'unknown'
  return { ...given, version, platform, ...(!known && { id: 'node-host' }), mode: 'node' }
}

/** Programs that the gateway knows as nodes (`GATEWAY_CLIENT_IDS` of its published protocol). */
const knownClients: ReadonlySet<string> = new Set([
  'node-host',
  'openclaw-macos',
  'openclaw-linux',
  'openclaw-ios',
  'openclaw-watchos',
  'openclaw-android',
])

/** The gateway trims and lower-cases ASCII letters before it compares. */
function plain(text: string): string {
  return text.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
