import { numberOf, own, readObject, readTokenPayload } from './json.ts'
import { parameter, type UrlParts } from './url.ts'

/** The number of an error page of Cloudflare's edge (1010, 1020, 1033, ...), from its JSON, body or title. */
export function edgeErrorCode(body: string): number | undefined {
  const json = readObject(body)
  const said =
    json !== undefined && own(json, 'cloudflare_error') === true
      ? numberOf(own(json, 'error_code'))
      : undefined
  const found = /\berror code:?\s*(\d{3,4})\b/i.exec(body)?.[1] ?? /<h1>\s*Error\s+(\d{4})\b/i.exec(body)?.[1]
  return said ?? (found === undefined ? undefined : Number(found))
}

/** Whether a URL is the login of Cloudflare Access. */
export function isAccessLogin(location: UrlParts | undefined): boolean {
  return (
    location !== undefined && isAccessHost(location.host) && location.path.startsWith('/cdn-cgi/access/login')
  )
}

/**
 * Whether a host belongs to a team of Cloudflare Access; a suffix alone would take `x.cloudflareaccess.com.evil.test`.
 * Names below `localhost` are this computer: a simulated edge.
 */
export function isAccessHost(host: string): boolean {
  return /^[a-z\d-]+(?:\.fed)?\.cloudflareaccess\.com(?:\.localhost)?$/.test(host)
}

/** `service_token_status` of a redirect to the login: whether Access recognised the service token. Not verified. */
export function serviceTokenStatus(location: UrlParts): boolean | undefined {
  const payload = readTokenPayload(parameter(location.query, 'meta'))
  const status = own(payload, 'service_token_status')
  if (typeof status === 'boolean') return status
  // Older shapes name the token instead.
  const id = own(payload, 'service_token_id')
  return typeof id === 'string' && id !== '' ? true : undefined
}
