import type { Scheme } from '../core/contract/credential.ts'
import { checkMethods, checkStrings, readOptions } from '../core/options/check-options.ts'
import type { Devices } from '../services/types.ts'
import type { ForeignTokens } from './bearer.ts'
import { headerToken } from './header-token.ts'

export interface DeviceTokenOptions {
  readonly devices: Pick<Devices, 'verify' | 'claims' | 'revocations'>
  /** Header of its own besides `Authorization: Bearer`, or `false`. Default: `false`. */
  readonly header?: string | false
  /** Tokens of another system by prefix, with what verifies them: `{ mdt_: (token) => ... }`. */
  readonly foreign?: ForeignTokens
  /** Name in rules and in `explain`; principals keep the scheme `device-token`. Default: `device-token`. */
  readonly name?: string
}

/**
 * Authenticates devices by their token: in band, or as `Bearer` token.
 *
 * Principals are devices; role, scopes and node id are those of the record, whatever the device declares.
 *
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
