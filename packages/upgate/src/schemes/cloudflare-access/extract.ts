import type { Extraction, TokenCredential } from '../../core/contract/credential.ts'
import type { AuthRequest } from '../../core/contract/request.ts'
import { cookieAt, nextCookie } from '../cookie-header.ts'

/** The header in which Access sends the assertion. */
export const assertionHeader = 'cf-access-jwt-assertion'
/** The cookie that browsers send as well; not guaranteed. */
export const assertionCookie = 'CF_Authorization'
const emailHeader = 'cf-access-authenticated-user-email'

/** A token of a request, with other fields of the request that it must not contradict. */
export interface AccessCredential extends TokenCredential {
  /**
   * Values of the cookie that differ from the header's token. Next to a header they refuse only if they
   * verify.
   */
  readonly cookies?: readonly string[]
  /** The unsigned email header: compared, never trusted. */
  readonly emailHeader?: string | undefined
}

/**
 * Finds the assertion: in the header if there is one, however malformed, otherwise in the cookie.
 *
 * An invalid header is final: falling back to the cookie would let a request make two different claims.
 */
export function extractAssertion(request: AuthRequest): Extraction | undefined {
  const { headers } = request
  const header = headers[assertionHeader]
  const cookies = cookieValues(headers.cookie)
  const email = joined(headers[emailHeader])
  if (header !== undefined) {
    const value = joined(header) ?? ''
    return {
      credential: credentialOf(
        'edge',
        value,
        cookies === undefined ? undefined : others(cookies, value),
        email,
      ),
      location: assertionHeader,
    }
  }
  const value = cookies?.[0]
  if (cookies === undefined || value === undefined) return undefined
  return {
    credential: credentialOf('cookie', value, others(cookies, value), email),
    location: `cookie ${assertionCookie}`,
  }
}

function credentialOf(
  source: 'edge' | 'cookie',
  value: string,
  cookies: readonly string[] | undefined,
  email: string | undefined,
): AccessCredential {
  return cookies === undefined
    ? { type: 'token', source, value, emailHeader: email }
    : { type: 'token', source, value, emailHeader: email, cookies }
}

function others(cookies: readonly string[], value: string): readonly string[] | undefined {
  if (cookies.length === 1 && cookies[0] === value) return undefined
  const different = cookies.filter((cookie) => cookie !== value)
  return different.length === 0 ? undefined : different
}

/** A header's value. A header sent more than once is joined; the result is neither a token nor an address. */
function joined(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'object' ? header.join(', ') : header
}

/** Non-empty values of the cookie, in order. */
function cookieValues(header: string | readonly string[] | undefined): readonly string[] | undefined {
  const text = typeof header === 'object' ? header.join('; ') : header
  if (text === undefined) return undefined
  let values: string[] | undefined
  for (let at = nextCookie(text, assertionCookie, 0); at !== -1; at = nextCookie(text, assertionCookie, at)) {
    const value = cookieAt(text, at)
    if (value === '') continue
    values ??= []
    values.push(value)
  }
  return values
}
