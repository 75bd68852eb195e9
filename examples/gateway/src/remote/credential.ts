import { type ClientHandshake, type Credential, connectHandshake, deviceKey } from '@upgate/client'

/** The secrets of a record, opened. */
export interface Secrets {
  readonly token?: string
  readonly sessionKey?: string
  readonly cfClientId?: string
  readonly cfClientSecret?: string
  /** The key of this gateway at the other one, in PEM. */
  readonly privateKey?: string
  /** The token that the other gateway made at the end of a pairing. */
  readonly deviceToken?: string
}

/** A pairing code of Upgate: three times four characters. */
const pairingCode = /^[2-9A-HJKMNP-TV-Z]{4}(?:-?[2-9A-HJKMNP-TV-Z]{4}){2}$/i

/** Whether a token is used up by a pairing. */
export function isPairingCode(token: string): boolean {
  return pairingCode.test(token)
}

/** Whether a token names a device or program by itself, without a key. */
function isOfRecord(token: string): boolean {
  return /^(?:ugd_|mdt_|ugk_|mk_)/.test(token)
}

/** The credential for the other gateway, made of what is there. */
export function credentialOf(secrets: Secrets, name: string): Credential {
  const { token, privateKey, deviceToken } = secrets
  if (token !== undefined && isOfRecord(token)) return { token }
  const device = deviceKey(privateKey)
  if (deviceToken !== undefined) return { device, token: deviceToken, name }
  if (token === undefined) return { device, name }
  return isPairingCode(token) ? { device, code: token, name } : { device, token, name }
}

/** The `connect` request of a node. */
export function handshakeOf(secrets: Secrets): ClientHandshake {
  return connectHandshake({
    // Gateways of the field know a list of programs; this is the one of a node without a screen.
    client: { id: 'node-host', version: '1', platform: process.platform, mode: 'node' },
    tokenAs: /^(?:ugk_|mk_)/.test(secrets.token ?? '') ? 'api_key' : 'deviceToken',
  })
}

/** Tells the other gateway which session this node is for. Gateways that know no sessions answer with an error. */
export function subscription(sessionKey: string): string {
  return JSON.stringify({
    type: 'req',
    id: 'session',
    method: 'node.event',
    params: { event: 'chat.subscribe', payloadJSON: JSON.stringify({ sessionKey }) },
  })
}
