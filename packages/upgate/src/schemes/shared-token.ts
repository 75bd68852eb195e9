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
import { createPrincipal, type PrincipalKind } from '../core/contract/principal.ts'
import type { AuthRequest } from '../core/contract/request.ts'
import { isCallable } from '../core/options/check-options.ts'
import {
  fn,
  isText,
  nested,
  oneOf,
  optional,
  text,
  unchecked,
  value,
  withDefault,
} from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import { sha256 } from '../crypto/sha256.ts'
import { checkNames } from '../services/record-input.ts'
import { bearerOf, headerName, headerOption, notOfThisForm } from './bearer.ts'

/** The principal that a shared token stands for. */
export interface SharedPrincipal {
  readonly kind: PrincipalKind
  readonly id: string
  /** Default: none. */
  readonly scopes?: readonly string[] | undefined
  /** Default: none. */
  readonly roles?: readonly string[] | undefined
}

/** Options of {@link sharedToken}. Unknown options throw. */
export interface SharedTokenOptions {
  /**
   * The secret, several secrets during a rotation, or a function that is called at every verification, so
   * that a rotation needs no restart. 16 characters at least. Give exactly one of `token` and `verify`.
   */
  readonly token?: string | readonly string[] | (() => MaybePromise<string | readonly string[]>)
  /** Decides whether a token is right, for applications that know only its hash. */
  readonly verify?: (token: string, context: VerifyContext) => MaybePromise<boolean>
  /** Principal that the token stands for. Declarations of a client add nothing to it. */
  readonly principal: SharedPrincipal
  /** Default: `shared-token`. */
  readonly name?: string
  /** Claims only tokens with this prefix. Default: all tokens but those of Upgate's own form. */
  readonly prefix?: string
  /** Additional header for the token, besides `Authorization: Bearer`. Default: none. */
  readonly header?: string
}

const minLength = 16
const ownForm = /^ug[kdts]_/
const sharedTokenOptions = optionTable<SharedTokenOptions>()({
  token: optional(
    value<NonNullable<SharedTokenOptions['token']>>(
      `a secret of at least ${minLength} characters, several, or a function that returns them`,
      (token) => isCallable(token) || digestsOf(token) !== undefined,
      (token) => isText(token) || Array.isArray(token),
    ),
  ),
  verify: optional(fn()),
  principal: nested(
    optionTable<SharedPrincipal>()({
      kind: oneOf('user', 'device', 'service'),
      id: text("a text, as in { kind: 'service', id: 'ci' }"),
      // Their names are checked like those of records.
      scopes: unchecked(),
      roles: unchecked(),
    }),
  ),
  name: withDefault(text(), 'shared-token'),
  prefix: optional(text("a text that is none of Upgate's own prefixes", /^(?!ug[kdts]_)/)),
  header: optional(headerOption),
})
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
  const given = sharedTokenOptions.read('sharedToken', options)
  const { token, verify, principal, name, prefix } = given
  const header = given.header === undefined ? undefined : headerName('sharedToken', given.header)
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
  const digests = digestsOf(token as string | readonly string[]) ?? []
  return (presented) => matchesAny(presented, digests)
}

function digestsOf(secrets: unknown): readonly Buffer[] | undefined {
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

function answerOf(principal: SharedPrincipal, scheme: string): Verification {
  const { scopes = [], roles = [] } = principal
  const frozen = createPrincipal({
    kind: principal.kind,
    id: principal.id,
    scheme,
    scopes: checkNames('scopes', scopes, 'sharedToken: `principal`'),
    roles: checkNames('roles', roles, 'sharedToken: `principal`'),
  })
  return Object.freeze({ outcome: 'authenticated', principal: frozen })
}
