import type { Scheme } from '../core/contract/credential.ts'
import { checkBooleans, checkMethods, checkStrings, readOptions } from '../core/options/check-options.ts'
import type { Keys } from '../services/types.ts'
import type { ForeignTokens } from './bearer.ts'
import { headerToken } from './header-token.ts'

export interface ApiKeyOptions {
  readonly keys: Pick<Keys, 'verify' | 'claims' | 'revocations'>
  /** Header of its own, or `false`. What it holds is an API key or an error. Default: `x-api-key`. */
  readonly header?: string | false
  /** Whether keys count as `Authorization: Bearer`, too, by their form. Default: true. */
  readonly bearer?: boolean
  /** Keys of another system by prefix, with what verifies them: `{ mk_: (key) => ... }`. */
  readonly foreign?: ForeignTokens
  /** Name in rules and in `explain`; principals keep the scheme `api-key`. Default: `api-key`. */
  readonly name?: string
}

/**
 * Authenticates by API key: in `x-api-key`, as `Bearer` token, or in band.
 *
 * Principals are services named by the key's id, or the user the key acts for.
 *
 * @throws TypeError for an unknown option or where no request could carry a key
 * @example
 * const gate = createGate({ schemes: [apiKey({ keys: services.keys })] })
 */
export function apiKey(options: ApiKeyOptions): Scheme {
  const names = ['keys', 'header', 'bearer', 'foreign', 'name'] as const
  const {
    keys,
    header = 'x-api-key',
    bearer = true,
    foreign,
    name = 'api-key',
  } = readOptions('apiKey', options, names)
  checkMethods('apiKey', 'keys', keys, ['verify', 'claims'], '`services.keys`')
  checkBooleans('apiKey', { bearer })
  checkStrings('apiKey', { name })
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
