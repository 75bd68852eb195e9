import type { AccessCredential } from './extract.ts'
import { assertionHeader, extractAssertion } from './extract.ts'
import { SigningKeys } from './keys.ts'
import { resolveOptions } from './options.ts'
import type { CloudflareAccessOptions, CloudflareAccessScheme } from './types.ts'
import { TokenVerifier } from './verifier.ts'

/**
 * Verifies the JWT that Cloudflare Access adds to requests of users and of service tokens.
 *
 * The header `Cf-Access-Jwt-Assertion` has priority and is final, the cookie `CF_Authorization` is second;
 * the email header is never trusted. Answers `unavailable` while the signing keys cannot be fetched or may be
 * older than the token's key, and `unknown_identity` for people and service tokens without an account here.
 *
 * Users are ambient: they count only with an allowed Origin. Service tokens in the header are explicit. The
 * principal is the edge's principal: it is kept separate from the principal of the protocol.
 *
 * @param options - `audience`, and one of `team` and `issuer`, are required
 * @returns the scheme, with functions that fetch the keys and report their state
 * @throws TypeError for options that would not protect
 * @example
 * const gate = createGate({
 *   origins: ['https://gateway.example.com'],
 *   schemes: [
 *     cloudflareAccess({
 *       team: 'acme',
 *       audience: ['32eafc7626e737a3ab93eb5ebd5a4ff5d8ae3e4b0ea4d0ddbba1fd3f3c6bd9b7'],
 *       identify: byEmail(services.accounts),
 *       services: { 'e367826f93b8d71185e03fe518aff3b4.access': { id: 'backup', scopes: ['files.read'] } },
 *       revocations: services.revocations,
 *     }),
 *   ],
 * })
 */
export function cloudflareAccess(options: CloudflareAccessOptions): CloudflareAccessScheme {
  const settings = resolveOptions(options)
  const keys = new SigningKeys(settings)
  const verifier = new TokenVerifier(settings, keys)
  const { revocations } = settings
  const unsubscribe = revocations?.subscribe(({ selector }) => verifier.revoke(selector))
  return {
    name: settings.name,
    ambient: true,
    edge: true,
    headers: [assertionHeader],
    audiences: [...settings.audience],
    ...(revocations === undefined ? {} : { revocations }),
    extract: extractAssertion,
    verify(credential, context) {
      if (credential.type !== 'token') {
        return { outcome: 'rejected', code: 'invalid_credential', reason: 'not an Access token' }
      }
      return verifier.verify(credential satisfies AccessCredential, context.dryRun)
    },
    prefetch: () => keys.prefetch(),
    status: () => keys.status(),
    close: () => unsubscribe?.(),
  }
}
