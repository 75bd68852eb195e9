import { readCookie } from './cookie-header.ts'

/** Largest number of `Cookie` headers tried for one request. */
const maxAlternatives = 4

/**
 * Splits a `Cookie` header in which a cookie of these names came more than once into the headers that the
 * client may have meant: each has one value per name. Session systems read the first value, which an attacker
 * may have set.
 *
 * @returns `undefined` if each name came once at most; an empty list if there would be more than four headers
 */
export function cookieAlternatives(header: string, names: readonly string[]): readonly string[] | undefined {
  const repeated = names.filter((name) => header.indexOf(`${name}=`) !== header.lastIndexOf(`${name}=`))
  if (repeated.length === 0) return undefined
  const pairs = header.split(';').map((pair) => pair.replace(/^ +| +$/g, ''))
  const twice = repeated.filter((name) => pairs.filter((pair) => pair.startsWith(`${name}=`)).length > 1)
  if (twice.length === 0) return undefined
  const others = pairs.filter((pair) => pair !== '' && !twice.some((name) => pair.startsWith(`${name}=`)))
  let alternatives: readonly (readonly string[])[] = [others]
  for (const name of twice) {
    const values = [readCookie(header, name) ?? []].flat()
    if (values.length > 0) {
      alternatives = alternatives.flatMap((chosen) => values.map((value) => [...chosen, `${name}=${value}`]))
    }
    if (alternatives.length > maxAlternatives) return []
  }
  return alternatives.map((chosen) => chosen.join('; '))
}

/**
 * Copies the host's own request with another `Cookie` header. `undefined` if the copy could not be relied on:
 * its cookies were read already, or its headers are of an unknown kind.
 */
export function withCookies<Request extends object>(native: Request, cookie: string): Request | undefined {
  const { headers, rawHeaders } = native as { headers?: Record<string, unknown>; rawHeaders?: unknown }
  if (typeof headers?.cookie !== 'string' || !Array.isArray(rawHeaders)) return undefined
  if ('cookies' in native || 'signedCookies' in native || 'session' in native) return undefined
  const raw: unknown[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (String(rawHeaders[i]).toLowerCase() !== 'cookie') raw.push(rawHeaders[i], rawHeaders[i + 1])
  }
  const distinct = (native as { headersDistinct?: object }).headersDistinct
  const field = (value: unknown): PropertyDescriptor => ({
    value,
    writable: true,
    configurable: true,
    enumerable: true,
  })
  return Object.create(native, {
    headers: field({ ...headers, cookie }),
    headersDistinct: field({ ...distinct, cookie: [cookie] }),
    rawHeaders: field([...raw, 'Cookie', cookie]),
  }) as Request
}
