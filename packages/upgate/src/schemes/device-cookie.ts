import { stringifySetCookie } from 'cookie'
import type { HeaderRecord } from '../core/contract/request.ts'
import { flag, withDefault } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { IssuedDeviceCookie } from '../services/accounts/device-cookies.ts'
import { cookieNameOption, readCookie } from './cookie-header.ts'

/** Options of {@link deviceCookie}. Unknown options throw. */
export interface DeviceCookieOptions {
  /** Name without `__Host-`, which is added if the cookie is secure. Default: `upgate_device`. */
  readonly name?: string
  /**
   * Whether the cookie is `Secure`, as for {@link sessionCookie}: false only if browsers reach the
   * application by `http:` over a network. Default: true.
   */
  readonly secure?: boolean
}

const deviceCookieOptions = optionTable<DeviceCookieOptions>()({
  name: withDefault(cookieNameOption, 'upgate_device'),
  secure: flag(true),
})

/** Reads the device cookie of a login from requests, and writes it to answers. */
export interface DeviceCookie {
  /** The whole name, prefix included. */
  readonly cookieName: string
  /**
   * Reads the cookie of a request, for `accounts.login` and `deviceCookies.issue`. If other cookies share its
   * name, all of them are returned, at most four; `undefined` if there is none.
   *
   * @param request - Node's own, or any object with `headers` in lower case
   */
  read(request: { readonly headers: HeaderRecord }): string | readonly string[] | undefined
  /**
   * Returns the value of the `Set-Cookie` header that gives the cookie to a browser.
   *
   * @param issued - by `deviceCookies.issue`
   */
  setCookie(issued: IssuedDeviceCookie): string
}

/**
 * Reads and writes the device cookie, by which a login recognises a browser: `__Host-`, `Secure`, `HttpOnly`,
 * `SameSite=Strict`.
 *
 * It is not a scheme: the cookie grants no access.
 *
 * @param options - default: a secure cookie named `__Host-upgate_device`
 * @throws TypeError for an unknown option or a name that a cookie cannot have
 * @example
 * const device = deviceCookie()
 * const answer = await services.accounts.login(email, secret, { clientAddress, deviceCookie: device.read(request) })
 * if (answer.outcome === 'authenticated') {
 *   const known = await services.deviceCookies.issue(answer.principal.id, device.read(request))
 *   if (known) response.appendHeader('set-cookie', device.setCookie(known))
 * }
 */
export function deviceCookie(options: DeviceCookieOptions = {}): DeviceCookie {
  const { name, secure } = deviceCookieOptions.read('deviceCookie', options)
  const cookieName = secure ? `__Host-${name}` : name
  // Strict: only forms of our own pages need the cookie.
  const attributes = { name: cookieName, path: '/', httpOnly: true, secure, sameSite: 'strict' } as const
  return {
    cookieName,
    read({ headers }) {
      const header = headers.cookie
      return typeof header === 'string' ? readCookie(header, cookieName) : undefined
    },
    setCookie: ({ value, maxAge }) =>
      stringifySetCookie({ ...attributes, value, maxAge: Math.floor(maxAge / 1000) }),
  }
}
