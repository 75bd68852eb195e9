import type { Scheme } from '../core/contract/credential.ts'
import { flag, methods, text, withDefault } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { Keys } from '../services/tokens/types.ts'
import { type ForeignTokens, foreignOption, headerOrFalse } from './bearer.ts'
import { headerToken } from './header-token.ts'

/** Options of {@link apiKey}. Unknown options throw. */
export interface ApiKeyOptions {
  /** `services.keys`, or an object with the same methods. Required. */
  readonly keys: Pick<Keys, 'verify' | 'claims' | 'revocations'>
  /**
   * Name of a separate header, or `false`. Its value counts as an API key or as an error. Default:
   * `x-api-key`.
   */
  readonly header?: string | false
  /** Whether keys also count as `Authorization: Bearer`, recognised by their form. Default: true. */
  readonly bearer?: boolean
  /** Keys of another system by prefix, with their verifiers: `{ mk_: (key) => ... }`. Default: none. */
  readonly foreign?: ForeignTokens
  /** Name in rules and in `explain`; principals keep the scheme `api-key`. Default: `api-key`. */
  readonly name?: string
}

const apiKeyOptions = optionTable<ApiKeyOptions>()({
  keys: methods<ApiKeyOptions['keys']>(['verify', 'claims'], '`services.keys`'),
  header: withDefault(headerOrFalse, 'x-api-key'),
  bearer: flag(true),
  foreign: foreignOption,
  name: withDefault(text(), 'api-key'),
})

/**
 * Authenticates by API key: in `x-api-key`, as `Bearer` token, or in band.
 *
 * The principal is a service named by the key's id, or the user that the key acts for.
 *
 * @param options - `keys` of the services is required
 * @returns the scheme, for `createGate({ schemes })`
 * @throws TypeError for an unknown option, or if no request could carry a key
 * @example
 * const gate = createGate({ schemes: [apiKey({ keys: services.keys })] })
 */
export function apiKey(options: ApiKeyOptions): Scheme {
  const { keys, header, bearer, foreign, name } = apiKeyOptions.read('apiKey', options)
  return headerToken({
    where: 'apiKey',
    name,
    principalScheme: 'api-key',
    yields: ['user', 'service'],
    noun: 'an API key',
    hint: 'api-key',
    header,
    bearer,
    foreign,
    service: keys,
  })
}
