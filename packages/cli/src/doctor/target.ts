import { isIP } from 'node:net'
import type { Observation } from '@upgate/diagnosis'

/** The URL of a socket, or the fault of the text that should have been one. */
export type Target =
  | { readonly url: URL; readonly observation?: undefined }
  | { readonly url: undefined; readonly observation: Observation }

/** Reads the URL; `http` and `https` stand for `ws` and `wss`. */
export function readTarget(text: string): Target {
  const wrong = (message: string): Target => ({
    url: undefined,
    observation: { url: plainUrl(text), error: { name: 'SyntaxError', message } },
  })
  if (!URL.canParse(text)) return wrong('Invalid URL')
  const url = new URL(text)
  if (url.protocol === 'http:' || url.protocol === 'https:') {
    return readTarget(text.replace(/^\s*http/i, 'ws'))
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:')
    return wrong('The URL scheme must be ws: or wss:; wrong URL scheme')
  if (text.includes('#')) return wrong('The URL contains a fragment identifier')
  if (url.username !== '' || url.password !== '')
    return wrong('Invalid URL: it must not hold a user or password')
  return { url }
}

/** A URL without user information, query and fragment, for people. */
export function plainUrl(text: string): string {
  return text
    .replace(/\/\/[^/?#]*@/, '//')
    .replace(/[?#].*$/s, '')
    .replace(/[^\x21-\x7e]/g, '')
    .slice(0, 200)
}

/** Whether a URL leads to this computer. Names that merely begin like a loopback address do not. */
export function isLoopback({ hostname }: URL): boolean {
  if (hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]') return true
  return isIP(hostname) === 4 && hostname.startsWith('127.')
}
