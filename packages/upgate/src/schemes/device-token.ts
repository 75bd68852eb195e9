import type { Scheme } from '../core/contract/credential.ts'
import { checkMethods, checkStrings, readOptions } from '../core/options/check-options.ts'
import type { Devices } from '../services/types.ts'
import type { ForeignTokens } from './bearer.ts'
import { headerToken } from './header-token.ts'

export interface DeviceTokenOptions {
  readonly devices: Pick<Devices, 'verify' | 'claims' | 'revocations'>
  /** Name of a separate header besides `Authorization: Bearer`, or `false`. Default: `false`. */
  readonly header?: string | false
  /** Tokens of another system by prefix, with their verifiers: `{ mdt_: (token) => ... }`. Default: none. */
  readonly foreign?: ForeignTokens
  /** Name in rules and in `explain`; principals keep the scheme `device-token`. Default: `device-token`. */
  readonly name?: string
}

/**
 * Authenticates devices by their token: in band, or as `Bearer` token.
 *
 * The principal is a device. Its role, scopes and node id come from its record; declarations of the device
 * change nothing.
 *
 * @param options - `devices` of the services is required
 * @throws TypeError for an unknown option
 * @example
 * const gate = createGate({
 *   origins: ['https://gateway.example.com'],
 *   schemes: [deviceToken({ devices: services.devices })],
 *   rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake: jsonFrame({ credential }) }],
 * })
 */
export function deviceToken(options: DeviceTokenOptions): Scheme {
  const {
    devices,
    header = false,
    foreign,
    name = 'device-token',
  } = readOptions('deviceToken', options, ['devices', 'header', 'foreign', 'name'])
  checkMethods('deviceToken', 'devices', devices, ['verify', 'claims'], '`services.devices`')
  checkStrings('deviceToken', { name })
  return headerToken({
    where: 'deviceToken',
    name,
    principalScheme: 'device-token',
    yields: ['device'],
    noun: 'a device token',
    hint: 'device',
    header,
    bearer: true,
    foreign,
    service: devices,
  })
}
