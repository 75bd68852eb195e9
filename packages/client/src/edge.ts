import type { AccessApplication } from './access/application.ts'

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
  return 'userToken' in edge
}

/** @throws TypeError for an incomplete or malformed credential; its values are not quoted. */
export function checkEdge(edge: unknown): asserts edge is EdgeCredential {
  if (typeof edge !== 'object' || edge === null) {
    throw new TypeError(
      'connect: `edge` must be { clientId, clientSecret }, { userToken }, or a function that returns one.',
    )
  }
  if (isUserToken(edge as EdgeCredential)) checkUserToken(edge as EdgeUserToken)
  else checkServiceToken(edge as Partial<EdgeServiceToken>)
}

function checkServiceToken(edge: Partial<EdgeServiceToken>): void {
  checkNames(edge, ['clientId', 'clientSecret', 'form'])
  const { clientId, clientSecret, form = 'two-headers' } = edge
  for (const [name, value] of [
    ['clientId', clientId],
    ['clientSecret', clientSecret],
  ] as const) {
    // RFC 9110 section 5.5: what else is in it would end the header, or be refused by the runtime with its value.
    if (typeof value !== 'string' || !/^[\x21-\x7e]{1,512}$/.test(value)) {
      throw new TypeError(`connect: \`edge.${name}\` must be the text that Cloudflare shows, without spaces.`)
    }
  }
  if (form !== 'two-headers' && form !== 'single-header') {
    throw new TypeError("connect: `edge.form` must be 'two-headers' or 'single-header'.")
  }
}

function checkUserToken(edge: EdgeUserToken): void {
  checkNames(edge, ['userToken', 'team', 'audience'])
  const { userToken, team, audience = [] } = edge
  if (typeof userToken !== 'function' && !isToken(userToken)) {
    throw new TypeError(
      'connect: `edge.userToken` must be the text that `cloudflared access token` prints, or a function that returns it.',
    )
  }
  if (team !== undefined && teamDomain(team) === undefined) {
    throw new TypeError("connect: `edge.team` must be the name of a team, such as 'acme', or its domain.")
  }
  const tags = typeof audience === 'string' ? [audience] : audience
  const isList = edge.audience === undefined || (Array.isArray(tags) && tags.length > 0)
  if (!isList || !tags.every((tag) => typeof tag === 'string' && /^[\da-f]{64}$/.test(tag))) {
    throw new TypeError(
      'connect: `edge.audience` must be an AUD tag of 64 hexadecimal digits, or a list of them.',
    )
  }
}

function checkNames(edge: object, known: readonly string[]): void {
  for (const name of Object.keys(edge)) {
    if (!known.includes(name)) {
      throw new TypeError(`connect: unknown option \`edge.${name}\`; the options are ${known.join(', ')}.`)
    }
  }
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
