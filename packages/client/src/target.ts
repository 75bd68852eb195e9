import type { Observation } from '@upgate/diagnosis'

/** A URL that can be connected to, or what is wrong with it. */
export type Target = { readonly url: string } | { readonly url: undefined; readonly observation: Observation }

/** Reads the URL of a socket. `http` and `https` become `ws` and `wss`; user information is refused. */
export function readTarget(text: string): Target {
  const wrong = (message: string): Target => ({
    url: undefined,
    observation: { url: withoutUser(text), error: { name: 'SyntaxError', message } },
  })
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return wrong('Invalid URL')
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') url.protocol = url.protocol.replace('http', 'ws')
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:')
    return wrong('The URL scheme must be ws: or wss:; wrong URL scheme')
  if (url.hash !== '' || text.includes('#')) return wrong('The URL contains a fragment identifier')
  // Browsers send it nowhere, and proxies log it.
  if (url.username !== '' || url.password !== '')
    return wrong('Invalid URL: it must not hold a user or password')
  return { url: url.href }
}

function withoutUser(text: string): string {
  return text.replace(/\/\/[^/?#]*@/, '//')
}
