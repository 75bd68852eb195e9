import type {
  Credential,
  Extraction,
  MaybePromise,
  Scheme,
  TokenCredential,
  Verification,
} from '../core/contract/credential.ts'
import type { PrincipalKind } from '../core/contract/principal.ts'
import type { AuthRequest } from '../core/contract/request.ts'
import type { RevocationFeed } from '../core/ports/revocations.ts'
import { bearerOf, compileForeign, type ForeignTokens, headerName, notOfThisForm } from './bearer.ts'

export interface HeaderTokenOptions {
  readonly where: string
  readonly name: string
  /** Value of `scheme` in the service's principals. */
  readonly principalScheme: string
  /** Kinds of the service's principals. */
  readonly yields: readonly PrincipalKind[]
  /** Name for sentences: `an API key`. */
  readonly noun: string
  readonly hint: NonNullable<TokenCredential['hint']>
  readonly header: string | false
  readonly bearer: boolean
  readonly foreign: ForeignTokens | undefined
  readonly service: {
    verify(token: string): MaybePromise<Verification>
    claims(token: string): boolean
    readonly revocations?: RevocationFeed
  }
}

/**
 * Creates the scheme behind API keys and device tokens: a token in a separate header, as `Bearer`, or in a
 * field in band.
 */
export function headerToken(options: HeaderTokenOptions): Scheme {
  const { where, name, noun, hint, bearer, service } = options
  const header = options.header === false ? undefined : headerName(where, options.header)
  if (header === undefined && !bearer) {
    throw new TypeError(`${where}: with \`header: false\` and \`bearer: false\` no request can carry ${noun}`)
  }
  const foreign = compileForeign(where, options.foreign)
  const claims = (token: string): boolean => service.claims(token) || foreign(token) !== undefined

  function extract(request: AuthRequest): Extraction | undefined {
    if (header !== undefined) {
      // Any value of this header is meant for this scheme, also a malformed one.
      const value = request.headers[header]
      if (typeof value === 'string' && value !== '') return found(value, header)
    }
    const token = bearer ? bearerOf(request) : undefined
    return token !== undefined && claims(token) ? found(token, 'authorization') : undefined
  }

  return {
    name,
    // Verifiers of another system's tokens may answer with any kind.
    yields: options.foreign === undefined ? options.yields : ['user', 'device', 'service'],
    principalSchemes: [options.principalScheme, name],
    ambient: false,
    ...(header === undefined ? {} : { headers: [header] }),
    ...(bearer ? { challenge: 'Bearer' } : {}),
    extract,
    claims: (credential: Credential) =>
      credential.type === 'token' &&
      (credential.hint === undefined || credential.hint === hint) &&
      claims(credential.value),
    verify(credential, context) {
      if (credential.type !== 'token') return notOfThisForm(noun)
      const token = credential.value
      if (service.claims(token)) return service.verify(token)
      const verify = foreign(token)
      return verify === undefined ? notOfThisForm(noun) : verify(token, context)
    },
    ...(service.revocations === undefined ? {} : { revocations: service.revocations }),
  }
}

function found(value: string, location: string): Extraction {
  return { credential: { type: 'token', source: 'header', value }, location }
}
