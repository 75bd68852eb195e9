import { HOST_HEADER } from './edge-request.ts'

const MAX_REDIRECTS = 20
/** What a browser or an HTTP library drops when a redirect leaves the origin; custom headers stay (Fetch, 4.4). */
const DROPPED_ACROSS_ORIGINS = ['authorization', 'proxy-authorization', 'cookie']

/** Options of `edgeFetch`. */
export interface EdgeFetchOptions {
  /** Host names, besides `*.cloudflareaccess.com`, that the simulator serves. Default none. */
  readonly hosts?: readonly string[]
  /** The `fetch` underneath. Default the global one. */
  readonly fetch?: typeof globalThis.fetch
}

/**
 * Makes a `fetch` that reaches a running simulator under the names it simulates.
 *
 * `https://<team>.cloudflareaccess.com/...` and the given hosts go to `origin`; loopback URLs go where they say;
 * every other host is refused with a `TypeError`, so that no test ever talks to the real Cloudflare. Redirects are
 * followed as `fetch` would, each one mapped again.
 *
 * @example
 * const fetch = edgeFetch('http://127.0.0.1:8788', { hosts: ['app.example.com'] })
 * const certs = await fetch('https://acme.cloudflareaccess.com/cdn-cgi/access/certs')
 */
export function edgeFetch(origin: string, options: EdgeFetchOptions = {}): typeof globalThis.fetch {
  const { hosts = [], fetch = globalThis.fetch } = options
  const known = hosts.map((host) => host.toLowerCase())
  return mappedFetch(origin, (hostname) => known.includes(hostname), fetch)
}

/** The working part of `edgeFetch`; `serves` is asked for every host that is no team's. */
export function mappedFetch(
  origin: string,
  serves: (hostname: string) => boolean,
  fetch: typeof globalThis.fetch,
): typeof globalThis.fetch {
  const base = new URL(origin)

  function map(url: URL): URL | undefined {
    const { hostname } = url
    if (hostname.endsWith('.cloudflareaccess.com') || hostname.endsWith('.localhost') || serves(hostname)) {
      return new URL(`${base.origin}${url.pathname}${url.search}`)
    }
    return /^(127(\.\d+){3}|localhost|\[::1\])$/.test(hostname) ? url : undefined
  }

  return async (input, init) => {
    const request = new Request(input, init)
    const headers = new Headers(request.headers)
    let { method } = request
    let url = new URL(request.url)
    let body = request.body === null ? null : await request.arrayBuffer()
    for (let followed = 0; followed <= MAX_REDIRECTS; followed++) {
      const target = map(url)
      if (target === undefined) {
        throw new TypeError('fetch failed', { cause: new Error(`${url.hostname} is not simulated`) })
      }
      // No `fetch` lets its caller choose `Host`; the edge takes this header in its place.
      if (target !== url) headers.set(HOST_HEADER, url.host)
      else headers.delete(HOST_HEADER)
      const response = await fetch(target, {
        method,
        headers,
        body,
        redirect: 'manual',
        signal: request.signal,
      })
      const location = response.headers.get('location')
      const leads = [301, 302, 303, 307, 308].includes(response.status) && location !== null
      if (!leads || request.redirect === 'manual') return seenAs(response, url, followed > 0)
      await response.body?.cancel()
      if (request.redirect === 'error') {
        throw new TypeError('fetch failed', { cause: new Error('unexpected redirect') })
      }
      const next = new URL(location, url)
      if (response.status === 303 ? method !== 'HEAD' : response.status < 303 && method === 'POST') {
        method = 'GET'
        body = null
        for (const name of ['content-type', 'content-length', 'content-encoding']) headers.delete(name)
      }
      if (next.origin !== url.origin) for (const name of DROPPED_ACROSS_ORIGINS) headers.delete(name)
      url = next
    }
    throw new TypeError('fetch failed', { cause: new Error('redirect count exceeded') })
  }
}

/** The response under the address that was asked for, not the loopback one that answered. */
function seenAs(response: Response, url: URL, redirected: boolean): Response {
  return Object.defineProperties(response, { url: { value: url.href }, redirected: { value: redirected } })
}
