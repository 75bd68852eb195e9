import { type AuthRequest, headerOf } from '../contract/request.ts'
import type { WayFinding } from './finding.ts'

/** Scheme words that may be quoted. Any other first word may be a part of a credential. */
const quotable = new Set(
  'Basic Bearer Concealed Digest DPoP GNAP HOBA Mutual Negotiate NTLM OAuth PrivateToken SCRAM-SHA-1 SCRAM-SHA-256 vapid AWS4-HMAC-SHA256 Token ApiKey'
    .split(' ')
    .map((word) => word.toLowerCase()),
)

/**
 * An Authorization header with a scheme word that no scheme of the gate uses.
 *
 * @param isRead - whether a scheme of the gate uses a scheme word
 */
export function readAuthorization(
  request: AuthRequest,
  isRead: (word: string) => boolean,
): WayFinding | undefined {
  const word = /^[A-Za-z][A-Za-z0-9-]*(?=[ \t]|$)/.exec(headerOf(request, 'authorization') ?? '')?.[0]
  if (word === undefined) return undefined
  const known = quotable.has(word.toLowerCase())
  if (known && isRead(word)) return undefined
  if (!known) {
    return {
      sign: 'authorization_unread',
      sentence:
        'Authorization arrived with a first word that is no usual scheme word, and it may be a secret: it is not quoted. No scheme of this gate reads it.',
    }
  }
  const remedy =
    word.toLowerCase() === 'bearer'
      ? 'Let the proxy remove the header, or add a scheme that reads it'
      : `If a login in front of this server uses it, write \`ignoreAuthorization: ['${word}']\`, or let the proxy remove the header (\`proxy_set_header Authorization "";\` in nginx)`
  return {
    sign: 'authorization_unread',
    sentence: `Authorization arrived with the scheme word ${word}, which no scheme of this gate uses. ${remedy}.`,
  }
}
