import type { Observation } from '@upgate/diagnosis'
import { type Credential, secretsOf } from './credential.ts'
import { isEdgeHeader } from './edge.ts'

/** Headers that are no secrets. */
const publicHeaders: ReadonlySet<string> = new Set([
  'user-agent',
  'origin',
  'accept',
  'accept-language',
  'cache-control',
])

/** Whether the value of a header counts as a secret. */
export function isSecretHeader(name: string): boolean {
  return !publicHeaders.has(name.toLowerCase())
}

/** Whether others can read what is sent to this URL: it is not encrypted, and leads to another computer. */
export function isExposed(url: string): boolean {
  const { protocol, hostname } = new URL(url)
  return protocol !== 'wss:' && !isLoopback(hostname)
}

/** Whether an address is this computer. Names that merely begin like a loopback address are not. */
function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    // The URL parser has brought decimal, octal and short forms of IPv4 into this one.
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname)
  )
}

/** What an attempt is about to send. */
export interface Outgoing {
  /** Whether an edge credential was given. */
  readonly edge: boolean
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly credential: Credential | undefined
  /** Whether the application accepts that others can read its own credentials; those of an edge stay out. */
  readonly accepted: boolean
}

/** Why nothing may be sent to an exposed URL; `undefined` if nothing in it is a secret, or the application accepts it. */
export function plainRefusal(outgoing: Outgoing): Observation['error'] {
  const { edge, headers, credential, accepted } = outgoing
  // An edge always has TLS: there is no network on which its secrets would have to go without.
  if (edge || Object.entries(headers).some(([name, value]) => isEdgeHeader(name, value))) {
    return { code: 'edge_secret_over_plain' }
  }
  if (accepted) return undefined
  const header = Object.keys(headers).find(isSecretHeader)
  if (header !== undefined) return refusal(`the header ${header}`)
  // A device key alone sends a signature over the server's nonce, which is of no use to others.
  return secretsOf(credential).length > 0 ? refusal('the credential') : undefined
}

/** The refusal for one thing that was not sent; it names it without its value. */
export function refusal(what: string): { readonly code: string; readonly message: string } {
  return { code: 'credential_over_plain', message: `Not sent: ${what}.` }
}
