import { timingSafeEqual } from 'node:crypto'
import { andThen } from '../core/async/maybe-promise.ts'
import type {
  Credential,
  Extraction,
  MaybePromise,
  Scheme,
  Verification,
  VerifyContext,
} from '../core/contract/credential.ts'
import type { Principal, PrincipalKind } from '../core/contract/principal.ts'
import type { AuthRequest } from '../core/contract/request.ts'
import {
  assertKnownOptions,
  checkFunctions,
  checkStrings,
  isCallable,
  nameOf,
  readOptions,
} from '../core/options/check-options.ts'
import { sha256 } from '../crypto/sha256.ts'
import { checkNames } from '../services/record-input.ts'
import { bearerOf, headerName, notOfThisForm } from './bearer.ts'

export interface SharedTokenOptions {
  /**
   * The secret, several secrets during a rotation, or a function that is called at every verification, so
   * that a rotation needs no restart. 16 characters at least. Give exactly one of `token` and `verify`.
   */
  readonly token?: string | readonly string[] | (() => MaybePromise<string | readonly string[]>)
  /** Decides whether a token is right, for applications that know only its hash. */
  readonly verify?: (token: string, context: VerifyContext) => MaybePromise<boolean>
  /** Principal that the token stands for. Declarations of a client add nothing to it. */
  readonly principal: {
    readonly kind: PrincipalKind
    readonly id: string
    readonly scopes?: readonly string[]
    readonly roles?: readonly string[]
  }
  /** Default: `shared-token`. */
  readonly name?: string
  /** Claims only tokens with this prefix. Default: all tokens but those of Upgate's own form. */
  readonly prefix?: string
  /** Additional header for the token, besides `Authorization: Bearer`. Default: none. */
  readonly header?: string
}

const minLength = 16
const ownForm = /^ug[kdts]_/
const wrong: Verification = Object.freeze({
  outcome: 'rejected',
  code: 'invalid_credential',
  reason: 'it is not the shared token',
})

/**
 * Authenticates by one secret that several clients share: an existing gateway token.
 *
 * Such a token has no form by which it could be recognised, so put this scheme after those that recognise
 * their tokens. Live sockets stay open when the token is rotated: close them by the principal's id.
 *
 * @param options - `principal`, and one of `token` and `verify`, are required
 * @throws TypeError for an unset, empty or short secret, or an unknown option
 * @example
 * sharedToken({ token: () => readToken(), principal: { kind: 'service', id: 'ci', scopes: ['operator.read'] } })
 */
export function sharedToken(options: SharedTokenOptions): Scheme {
  const names = ['token', 'verify', 'principal', 'name', 'prefix', 'header'] as const
  const {
    token,
    verify,
    principal,
    name = 'shared-token',
    prefix,
    header: own,
  } = readOptions('sharedToken', options, names)
  checkStrings('sharedToken', { name, prefix: prefix === '' ? undefined : prefix })
  checkFunctions('sharedToken', { verify })
  const header = own === undefined ? undefined : headerName('sharedToken', own)
  if (prefix !== undefined && (prefix === '' || ownForm.test(prefix))) {
    throw new TypeError('sharedToken: `prefix` must not be empty, and not one of the prefixes of Upgate')
  }
  const matches = matcherOf(token, verify)
  const answer = answerOf(principal, name)

  const claims = (token: string): boolean =>
    prefix === undefined ? !ownForm.test(token) : token.startsWith(prefix)

  function extract(request: AuthRequest): Extraction | undefined {
    if (header !== undefined) {
      const value = request.headers[header]
      if (typeof value === 'string' && value !== '') return found(value, header)
    }
    const token = bearerOf(request)
    return token !== undefined && claims(token) ? found(token, 'authorization') : undefined
  }

  return {
    name,
    yields: [principal.kind],
    ambient: false,
    challenge: 'Bearer',
    ...(header === undefined ? {} : { headers: [header] }),
    extract,
    claims: (credential: Credential) =>
      credential.type === 'token' &&
      (credential.hint === undefined || credential.hint === 'shared') &&
      claims(credential.value),
    verify(credential, context) {
      if (credential.type !== 'token') return notOfThisForm('a shared token')
      return andThen(matches(credential.value, context), (matched) => {
        if (matched === 'unset') {
          return { outcome: 'unavailable', reason: 'no shared token is set, or one that is too short' }
        }
        return matched === true ? answer : wrong
      })
    },
  }
}

function found(value: string, location: string): Extraction {
  return { credential: { type: 'token', source: 'header', value }, location }
}

type Matcher = (token: string, context: VerifyContext) => MaybePromise<boolean | 'unset'>

function matcherOf(token: SharedTokenOptions['token'], verify: SharedTokenOptions['verify']): Matcher {
  if ((token === undefined) === (verify === undefined)) {
    throw new TypeError(
      'sharedToken: give exactly one of `token` and `verify`; an unset secret would refuse every client',
    )
  }
  if (verify !== undefined) return (presented, context) => verify(presented, context)
  if (typeof token === 'function' && isCallable(token)) {
    return (presented) =>
      andThen(token(), (secrets) => {
        const digests = digestsOf(secrets)
        return digests === undefined ? 'unset' : matchesAny(presented, digests)
      })
  }
  const digests = digestsOf(token as string | readonly string[])
  if (digests === undefined) {
    throw new TypeError(`sharedToken: \`token\` must have ${minLength} characters at least, and not be empty`)
  }
  return (presented) => matchesAny(presented, digests)
}

function digestsOf(secrets: string | readonly string[] | undefined): readonly Buffer[] | undefined {
  const list = typeof secrets === 'string' ? [secrets] : secrets
  if (!Array.isArray(list) || list.length === 0) return undefined
  if (list.some((secret) => typeof secret !== 'string' || secret.trim().length < minLength)) return undefined
  return list.map((secret: string) => Buffer.from(sha256(secret)))
}

/** Compares with all of them: the time must not reveal which one matched. */
function matchesAny(presented: string, digests: readonly Buffer[]): boolean {
  const digest = Buffer.from(sha256(presented))
  let matched = false
  for (const expected of digests) matched = timingSafeEqual(digest, expected) || matched
  return matched
}

function answerOf(principal: SharedTokenOptions['principal'], scheme: string): Verification {
  const kinds: readonly string[] = ['user', 'device', 'service']
  if (!kinds.includes(principal?.kind) || typeof principal.id !== 'string' || principal.id === '') {
    throw new TypeError(
      `sharedToken: \`principal\` needs a \`kind\` (user, device or service) and an \`id\`, as in { kind: 'service', id: 'ci' }${typeof principal === 'object' ? '' : `; it is ${nameOf(principal)}`}`,
    )
  }
  assertKnownOptions('sharedToken: `principal`', principal, ['kind', 'id', 'scopes', 'roles'])
  const { scopes = [], roles = [] } = principal
  const frozen: Principal = Object.freeze({
    kind: principal.kind,
    id: principal.id,
    scheme,
    scopes: Object.freeze(checkNames('scopes', scopes, 'sharedToken: `principal`')),
    roles: Object.freeze(checkNames('roles', roles, 'sharedToken: `principal`')),
    attributes: Object.freeze({}),
  })
  return Object.freeze({ outcome: 'authenticated', principal: frozen })
}
