import type { Scheme } from '../core/contract/credential.ts'
import { methods, text, withDefault } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { Devices } from '../services/tokens/types.ts'
import { type ForeignTokens, foreignOption, headerOrFalse } from './bearer.ts'
import { headerToken } from './header-token.ts'

/** Options of {@link deviceToken}. Unknown options throw. */
export interface DeviceTokenOptions {
  /** `services.devices`, or an object with the same methods. Required. */
  readonly devices: Pick<Devices, 'verify' | 'claims' | 'revocations'>
  /** Name of a separate header besides `Authorization: Bearer`, or `false`. Default: `false`. */
  readonly header?: string | false
  /** Tokens of another system by prefix, with their verifiers: `{ mdt_: (token) => ... }`. Default: none. */
  readonly foreign?: ForeignTokens
  /** Name in rules and in `explain`; principals keep the scheme `device-token`. Default: `device-token`. */
  readonly name?: string
}

const deviceTokenOptions = optionTable<DeviceTokenOptions>()({
  devices: methods<DeviceTokenOptions['devices']>(['verify', 'claims'], '`services.devices`'),
  header: withDefault(headerOrFalse, false),
  foreign: foreignOption,
  name: withDefault(text(), 'device-token'),
})

/**
 * Authenticates devices by their token: in band, or as `Bearer` token.
 *
 * The principal is a device. Its role, scopes and node id come from its record; declarations of the device
 * change nothing.
 *
 * @param options - `devices` of the services is required
 * @returns the scheme, for `createGate({ schemes })`
 * @throws TypeError for an unknown option
 * @example
 * const gate = createGate({
 *   origins: ['https://gateway.example.com'],
 *   schemes: [deviceToken({ devices: services.devices })],
 *   rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake: jsonFrame({ credential }) }],
 * })
 */
export function deviceToken(options: DeviceTokenOptions): Scheme {
  const { devices, header, foreign, name } = deviceTokenOptions.read('deviceToken', options)
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
