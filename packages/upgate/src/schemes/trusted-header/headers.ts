import type { AuthRequest } from '../../core/contract/request.ts'
import { isPlain, wrongOption } from '../../core/options/check-options.ts'
import type { HeaderIdentity, IdentityHeaders, IdentityProxy, TrustedHeaderOptions } from './types.ts'

/** Names in lower case. */
interface Names extends IdentityHeaders {
  /** Further headers of the proxy that say something about the user: as protected as the others, and not read. */
  readonly also?: readonly string[]
  /** A header without which the proxy has vouched for nothing. */
  readonly needs?: string
  /** A header with which the request is a public one. */
  readonly not?: string
  /** Whether the proxy writes texts beyond ASCII as encoded words (RFC 2047). From any other, such a text is the user's own. */
  readonly words?: true
}

const proxies: Readonly<Record<IdentityProxy, Names>> = {
  'remote-user': { user: 'remote-user' },
  authelia: { user: 'remote-user', email: 'remote-email', name: 'remote-name', groups: 'remote-groups' },
  authentik: {
    user: 'x-authentik-username',
    email: 'x-authentik-email',
    name: 'x-authentik-name',
    groups: 'x-authentik-groups',
    separator: '|',
    also: ['x-authentik-uid', 'x-authentik-entitlements', 'x-authentik-jwt'],
  },
  'oauth2-proxy': {
    user: 'x-auth-request-user',
    email: 'x-auth-request-email',
    name: 'x-auth-request-preferred-username',
    groups: 'x-auth-request-groups',
    also: ['x-auth-request-access-token'],
  },
  // `tailscale serve` sets the last two if it has set the first two, or if the request came from the internet, and
  // removes all of them from what clients send (ipn/ipnlocal/serve.go).
  tailscale: {
    user: 'tailscale-user-login',
    email: 'tailscale-user-login',
    name: 'tailscale-user-name',
    also: ['tailscale-user-profile-pic'],
    needs: 'tailscale-headers-info',
    not: 'tailscale-funnel-request',
    words: true,
  },
}

/** The result of reading a request's identity headers. */
export interface Reading {
  readonly identity: HeaderIdentity | undefined
  /** Names, in lower case as received, of the headers that count for nothing and must not reach the application. */
  readonly hidden: ReadonlySet<string>
  /** Why they are hidden, for `explain`. */
  readonly reason: string | undefined
}

/** Finds identity headers in requests. */
export interface HeaderReader {
  /** The header with the user's name, in lower case. */
  readonly user: string
  /**
   * Reads a request's identity headers; `undefined` if it has none, under any spelling.
   *
   * @param whyNot - why the peer's headers do not count, or `undefined` if they do; asked only if there are some
   */
  read(request: AuthRequest, whyNot: (request: AuthRequest) => string | undefined): Reading | undefined
}

/** Creates the reader for the option `headers`; throws a `TypeError` that names it. */
export function createHeaderReader(where: string, given: TrustedHeaderOptions['headers']): HeaderReader {
  const names = namesOf(where, given)
  const { user, email, name, groups, separator = ',', also = [], needs, not, words = false } = names
  const kept = [user, email, name, groups, ...also].filter((each) => each !== undefined)
  const watched = new Set([...kept, ...[needs, not].filter((each) => each !== undefined)])
  const lengths = new Set([...watched].map(({ length }) => length))

  /** The headers of a request that are one of ours under some spelling: their values by name as received. */
  function find(rawHeaders: readonly string[]): Map<string, string[]> | undefined {
    let found: Map<string, string[]> | undefined
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i] as string
      if (!lengths.has(raw.length)) continue
      const lower = raw.toLowerCase()
      if (!watched.has(lower) && !watched.has(canonical(lower))) continue
      found ??= new Map()
      const value = trimmed(rawHeaders[i + 1] as string)
      const values = found.get(lower)
      if (values === undefined) found.set(lower, [value])
      else values.push(value)
    }
    return found
  }

  return {
    user,
    read(request, whyNot) {
      const found = find(request.rawHeaders)
      if (found === undefined) return undefined
      const nothing = (reason: string): Reading => ({
        identity: undefined,
        hidden: new Set(found.keys()),
        reason,
      })
      const refused = whyNot(request)
      if (refused !== undefined) return nothing(refused)
      const one = (header: string | undefined): string | undefined => {
        const values = header === undefined ? undefined : found.get(header)
        return values?.length === 1 && !isBlank(values[0] as string) ? values[0] : undefined
      }
      if (not !== undefined && found.has(not)) return nothing(`${not} says that the request is a public one`)
      if (needs !== undefined && one(needs) === undefined) return nothing(`${needs} is missing`)
      const userName = single(one(user), words)
      if (userName === undefined) return nothing(`${user} is missing, empty or there more than once`)
      const hidden = new Set(
        [...found.keys()].filter((each) => !watched.has(each) || one(each) === undefined),
      )
      const address = single(one(email), words)
      return {
        identity: Object.freeze({
          user: userName,
          email: address !== undefined && /^[\x21-\x7e]{1,254}$/.test(address) ? address : undefined,
          displayName: decoded(one(name), words),
          groups: Object.freeze(
            (decoded(one(groups), words) ?? '')
              .split(separator)
              .map((group) => group.trim())
              .filter((group) => group !== ''),
          ),
        }),
        hidden,
        reason: hidden.size === 0 ? undefined : 'each counts once, not empty and under its own name',
      }
    },
  }
}

/** CGI and its heirs take `remote_user` and `Remote.User` for `Remote-User`; a proxy may let them pass. */
function canonical(name: string): string {
  return name.replace(/[^a-z0-9]/g, '-')
}

/** Values that proxies write for a variable that is not set: Apache `(null)`, access logs `-`. */
function isBlank(value: string): boolean {
  return value === '' || value === '(null)' || value === '-'
}

/** A name that is one name: a proxy on the way may have joined two headers with a comma. */
function single(value: string | undefined, words: boolean): string | undefined {
  const text = decoded(value, words)
  return text === undefined || text.length > 256 || text.includes(',') ? undefined : text
}

/** White space around a header is spaces and tabs (RFC 9110 section 5.5): other octets are part of a UTF-8 text. */
function trimmed(value: string): string {
  let start = 0
  let end = value.length
  while (start < end && isSpace(value, start)) start++
  while (end > start && isSpace(value, end - 1)) end--
  return value.slice(start, end)
}

function isSpace(value: string, at: number): boolean {
  return value[at] === ' ' || value[at] === '\t'
}

/**
 * The text of a header, where its bytes are UTF-8, without control characters.
 *
 * @param words - whether encoded words are decoded. A user that chose the name `=?utf-8?q?root?=` must not become `root`.
 */
function decoded(value: string | undefined, words: boolean): string | undefined {
  if (value === undefined) return undefined
  try {
    const bytes = Buffer.from(words ? encodedWords(value) : value, 'latin1')
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return /\p{Cc}/u.test(text) ? undefined : text
  } catch {
    return undefined
  }
}

/**
 * The bytes, as Latin-1, of a value of words in `=?utf-8?q?...?=` (RFC 2047 section 4.2), as `tailscale serve`
 * writes it.
 */
function encodedWords(value: string): string {
  if (!/^(?:=\?utf-8\?q\?[!-<>@-~]*\?= ?)+$/i.test(value.replace(/=(?=[0-9A-F]{2})/gi, ''))) return value
  return value
    .split(' ')
    .map((word) =>
      word
        .slice(10, -2)
        .replaceAll('_', ' ')
        .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    )
    .join('')
}

function namesOf(where: string, given: TrustedHeaderOptions['headers']): Names {
  const known = Object.keys(proxies)
  const expected = `one of ${known.map((name) => `'${name}'`).join(', ')}, or the names of the headers, such as { user: 'X-Forwarded-User' }`
  if (typeof given === 'string') {
    if (Object.hasOwn(proxies, given)) return proxies[given]
    throw new TypeError(`${where}: \`headers\` must be ${expected}.`)
  }
  if (!isPlain(given)) throw wrongOption(where, 'headers', expected, given)
  const { separator, ...headers } = given as IdentityHeaders
  const names: Record<string, string> = {}
  for (const [part, name] of Object.entries(headers) as [string, unknown][]) {
    if (!['user', 'email', 'name', 'groups'].includes(part)) {
      throw new TypeError(
        `${where}: \`headers\` has no part ${JSON.stringify(part)}; it must be ${expected}.`,
      )
    }
    if (name === undefined) continue
    if (typeof name !== 'string' || !/^[A-Za-z][A-Za-z0-9-]{1,63}$/.test(name) || isOrdinary(name)) {
      throw new TypeError(
        `${where}: \`headers.${part}\` must be the name of a header of the proxy's own, such as X-Forwarded-User.`,
      )
    }
    names[part] = name.toLowerCase()
  }
  if (names.user === undefined)
    throw new TypeError(`${where}: \`headers.user\` is missing; it must be the header with the user's name.`)
  if (separator !== undefined && (typeof separator !== 'string' || separator === '')) {
    throw wrongOption(where, 'headers.separator', 'the text between two groups', separator)
  }
  return { user: names.user, ...names, ...(separator === undefined ? {} : { separator }) }
}

/** Headers that clients rightly send: removing them would break requests. */
function isOrdinary(name: string): boolean {
  return /^(?:authorization|cookie|host|origin|referer|user-agent|connection|upgrade|forwarded|via|date|from|range|x-forwarded-(?:for|host|proto|port)|x-real-ip|cf-.*|sec-.*|accept.*|content-.*|if-.*|transfer-encoding|te|expect|proxy-.*|access-control-.*)$/i.test(
    name,
  )
}
