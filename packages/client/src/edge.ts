import type { AccessApplication } from './access/application.ts'
import { type Check, checkAll, isCallable, isPlain, text } from './check.ts'

/** A service token of Cloudflare Access. */
export interface EdgeServiceToken {
  /** `CF-Access-Client-Id`, such as `88bf...access`. */
  readonly clientId: string
  /** `CF-Access-Client-Secret`. */
  readonly clientSecret: string
  /**
   * `two-headers` (default), or `single-header`: both in `Authorization` as JSON, if the Access application reads them
   * there. The credential of the protocol then cannot be a header.
   */
  readonly form?: 'two-headers' | 'single-header'
}

/**
 * A user's token of Cloudflare Access, sent as `Cf-Access-Token`. It is sent after the server proved, with metadata that the
 * team's keys sign, that its host belongs to the very application that the token is for.
 */
export interface EdgeUserToken {
  /**
   * The application token that `cloudflared access token` prints, or a function that finds the one for an application;
   * `undefined` if the user has none, and nothing is sent then.
   */
  readonly userToken:
    | string
    | ((application: AccessApplication) => string | undefined | Promise<string | undefined>)
  /** The only team whose applications get it: `acme`, or its domain. Default: the team that the token names. */
  readonly team?: string
  /** The AUD tags of the only applications that get it. Default: those that the token names. */
  readonly audience?: string | readonly string[]
}

/** The credential for an edge, such as Cloudflare Access, in front of the gate. */
export type EdgeCredential = EdgeServiceToken | EdgeUserToken

/** An edge credential, or a function that fetches one. */
export type EdgeSource = EdgeCredential | (() => EdgeCredential | Promise<EdgeCredential>)

/** Whether an edge credential is a user's token. */
export function isUserToken(edge: EdgeCredential): edge is EdgeUserToken {
  return 'userToken' in edge && edge.userToken !== undefined
}

/** @throws TypeError for an incomplete or malformed credential; its values are not quoted. */
export function checkEdge(edge: unknown): asserts edge is EdgeCredential {
  if (!isPlain(edge) || Object.keys(edge).length === 0) {
    throw new TypeError(
      'connect: `edge` must be { clientId, clientSecret }, { userToken }, or a function that returns one.',
    )
  }
  if (isUserToken(edge as unknown as EdgeCredential)) checkAll('connect', edge, userTokenChecks, 'edge')
  else checkServiceToken(edge as Partial<EdgeServiceToken>)
}

function checkServiceToken(edge: Partial<EdgeServiceToken>): void {
  checkAll('connect', edge, serviceTokenChecks, 'edge')
  for (const name of ['clientId', 'clientSecret'] as const) {
    if (edge[name] === undefined) {
      throw new TypeError(`connect: \`edge.${name}\` must be ${serviceTokenChecks[name].expected}.`)
    }
  }
}

// RFC 9110 section 5.5: what else is in it would end the header, or be refused by the runtime with its value.
const shown = text('the text that Cloudflare shows, without spaces', /^[\x21-\x7e]{1,512}$/)
const serviceTokenChecks: { readonly [Name in keyof EdgeServiceToken]-?: Check } = {
  clientId: shown,
  clientSecret: shown,
  form: text("'two-headers' or 'single-header'", /^(?:two-headers|single-header)$/),
}
const tag = text('an AUD tag', /^[\da-f]{64}$/)
const userTokenChecks: { readonly [Name in keyof EdgeUserToken]-?: Check } = {
  userToken: {
    is: (value) => isCallable(value) || isToken(value),
    expected: 'the text that `cloudflared access token` prints, or a function that returns it',
  },
  team: {
    is: (value) => teamDomain(value) !== undefined,
    expected: "the name of a team, such as 'acme', or its domain",
  },
  audience: {
    is: (value) => tag.is(value) || (Array.isArray(value) && value.length > 0 && value.every(tag.is)),
    expected: 'an AUD tag of 64 hexadecimal digits, or a list of them',
  },
}

/** Whether a value has the form of a signed JSON Web Token. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 16_384 && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(value)
}

/** The domain of a team, `acme.cloudflareaccess.com`; `undefined` for a text that is no team. */
export function teamDomain(team: unknown): string | undefined {
  if (typeof team !== 'string') return undefined
  const domain = team.includes('.') ? team : `${team}.cloudflareaccess.com`
  return /^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?(?:\.fed)?\.cloudflareaccess\.com$/.test(domain)
    ? domain
    : undefined
}

/** The headers that carry a service token. */
export function serviceTokenHeaders({
  clientId,
  clientSecret,
  form,
}: EdgeServiceToken): Readonly<Record<string, string>> {
  return form === 'single-header'
    ? {
        authorization: JSON.stringify({
          'cf-access-client-id': clientId,
          'cf-access-client-secret': clientSecret,
        }),
      }
    : { 'cf-access-client-id': clientId, 'cf-access-client-secret': clientSecret }
}

/** Whether a header carries a secret of an edge: one of Access's, or its service token in `Authorization`. */
export function isEdgeHeader(name: string, value: string): boolean {
  return (
    name.startsWith('cf-access-') ||
    (name === 'authorization' && /^\s*\{/.test(value)) ||
    (name === 'cookie' && /(?:^|;)\s*CF_(?:Authorization|AppSession)=/.test(value))
  )
}
