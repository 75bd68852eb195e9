import { type Connection, type DeviceIdentity, dial, type Gateway, nonceOf } from './stage.ts'

export const client = {
  id: 'node-host',
  version: '2026.9.1',
  platform: ' Linux ',
  mode: 'node',
  deviceFamily: 'Pi',
}

export interface Signed {
  readonly version?: 'v2' | 'v3'
  readonly auth?: Record<string, string>
  /** The token that the signature covers. Default: as OpenClaw's client chooses it. */
  readonly signs?: string
  readonly role?: string
  readonly platform?: string
  readonly scopes?: readonly string[]
  readonly at?: number
  readonly nonce?: string
  readonly headers?: Record<string, string>
  /** Further fields of the frame. */
  readonly frame?: object
  /** Signed and sent instead of the device's own values. */
  readonly id?: string
  readonly change?: object
}

/** A `connect` request as OpenClaw's client builds it. */
export function connectRequest(
  device: DeviceIdentity,
  nonce: string,
  now: number,
  options: Signed = {},
): object {
  const { version = 'v3', auth = {}, scopes = [], at = now, id = device.id, change } = options
  const { role = 'node', platform = client.platform } = options
  const token = options.signs ?? auth.token ?? auth.deviceToken ?? auth.bootstrapToken ?? ''
  const common = [id, client.id, client.mode, role, scopes.join(','), String(at), token, nonce]
  const text = version === 'v3' ? ['v3', ...common, platform.trim().toLowerCase(), 'pi'] : ['v2', ...common]
  return {
    type: 'req',
    id: 'c1',
    method: 'connect',
    ...options.frame,
    params: {
      minProtocol: 3,
      maxProtocol: 4,
      client: { ...client, platform },
      role,
      scopes,
      auth,
      device: {
        id,
        publicKey: device.publicKey,
        signature: device.sign(text.join('|')),
        signedAt: at,
        nonce: options.nonce ?? nonce,
        ...change,
      },
    },
  }
}

export async function say(
  gateway: Gateway,
  device: DeviceIdentity,
  options: Signed = {},
): Promise<{ readonly answer: Record<string, never>; readonly connection: Connection }> {
  const connection = await dial(gateway.port, { headers: options.headers ?? {} })
  const nonce = nonceOf(connection)
  connection.ws.send(JSON.stringify(connectRequest(device, nonce, gateway.clock.now(), options)))
  return { answer: (await connection.next()) as Record<string, never>, connection }
}
