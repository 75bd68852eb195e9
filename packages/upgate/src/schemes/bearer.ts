import type { MaybePromise, Verification, VerifyContext } from '../core/contract/credential.ts'
import type { AuthRequest } from '../core/contract/request.ts'
import { isCallable, isPlain, wrongOption } from '../core/options/check-options.ts'
import { isText, optional, text, value } from '../core/options/option-kinds.ts'
import type { OptionKind } from '../core/options/option-table.ts'

/** The token after `Bearer` in `Authorization` (RFC 6750 section 2.1), or `undefined`. */
export function bearerOf(request: AuthRequest): string | undefined {
  const header = request.headers.authorization
  if (typeof header !== 'string') return undefined
  // Nearly all clients use this spelling: no regular expression needed.
  const match = header.startsWith('Bearer ') ? header.slice(7) : /^bearer (.*)$/is.exec(header)?.[1]
  if (match === undefined) return undefined
  const token = match.charCodeAt(0) === 32 ? match.replace(/^ +/, '') : match
  return token === '' ? undefined : token
}

/**
 * Verifiers of another system's tokens, by the prefix of the token.
 *
 * @example
 * const foreign: ForeignTokens = {
 *   mk_: async (token) => {
 *     const key = await oldKeys.find(token)
 *     if (!key) return { outcome: 'rejected', code: 'invalid_credential', reason: 'no such key' }
 *     return { outcome: 'authenticated', principal: principalOf(key) }
 *   },
 * }
 */
export type ForeignTokens = Readonly<
  Record<string, (token: string, context: VerifyContext) => MaybePromise<Verification>>
>

/** Finds the verifier of another system's token. */
export type ForeignLookup = (token: string) => ForeignTokens[string] | undefined

/** The option `foreign` of a scheme. */
export const foreignOption: OptionKind<ForeignTokens, 'optional'> = optional(
  value('an object of functions by prefix, such as { mk_: (token) => ... }', isPlain),
)

/** Compiles prefixes. Throws a `TypeError` for one that could claim Upgate's own tokens. */
export function compileForeign(where: string, foreign: ForeignTokens | undefined): ForeignLookup {
  const entries = Object.entries(foreign ?? {})
  for (const [prefix, verify] of entries) {
    if (prefix.length < 2 || /^ug[a-z]?_?/.test(prefix)) {
      throw new TypeError(
        `${where}: \`foreign\` has the prefix \`${prefix}\`; it must have two characters at least, and not begin with \`ug\`.`,
      )
    }
    if (!isCallable(verify)) {
      throw wrongOption(where, `foreign.${prefix}`, 'a function that verifies a token', verify)
    }
  }
  if (entries.length === 0) return () => undefined
  return (token) => entries.find(([prefix]) => token.startsWith(prefix))?.[1]
}

const headerForm = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const aHeader = 'the name of a header, such as `x-api-key`'

/** An option that names a header: {@link headerName} then refuses the headers of other schemes. */
export const headerOption: OptionKind<string, 'required'> = text(aHeader, headerForm)

/** An option that names a header, or is `false` for no header. */
export const headerOrFalse: OptionKind<string | false, 'required'> = value(
  `${aHeader}, or false`,
  (name) => name === false || (typeof name === 'string' && headerForm.test(name)),
  isText,
)

/** Returns the name of a header in lower case. Throws a `TypeError` for one that other schemes read. */
export function headerName(where: string, name: string): string {
  const lower = name.toLowerCase()
  if (lower === 'authorization' || lower === 'cookie') {
    throw new TypeError(`${where}: \`header\` cannot be \`${lower}\`; use \`bearer\`, or sessionCookie().`)
  }
  return lower
}

/** Creates the rejection of a credential with the wrong form. */
export function notOfThisForm(noun: string): Verification {
  return { outcome: 'rejected', code: 'invalid_credential', reason: `it does not have the form of ${noun}` }
}
