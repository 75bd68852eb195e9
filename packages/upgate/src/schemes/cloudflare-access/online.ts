import { lowerAscii } from './claims.ts'
import { fetchJson } from './limited-fetch.ts'
import type { Settings } from './options.ts'
import type { AccessUser } from './types.ts'

/** Answer of the team domain about a login. */
export type OnlineAnswer = 'confirmed' | 'ended' | 'unavailable'

/**
 * Asks the team domain whether a verified login still exists (`get-identity`).
 *
 * Only an answer that names the same person confirms the login. A refusal ends it. Any other answer counts as
 * none.
 */
export async function askOnline(
  token: string,
  user: AccessUser,
  online: NonNullable<Settings['online']>,
  settings: Settings,
): Promise<OnlineAnswer> {
  const { fetch, fetchHeaders, clock } = settings
  const answer = await fetchJson(
    online.url,
    { ...fetchHeaders, cookie: `CF_Authorization=${token}` },
    online.timeout,
    fetch,
    clock,
  )
  if (answer.outcome === 'failed') return 'unavailable'
  if ([400, 401, 403, 404].includes(answer.status)) return 'ended'
  if (answer.status !== 200) return 'unavailable'
  const email = (answer.json as { email?: unknown } | null)?.email
  return typeof email === 'string' && lowerAscii(email) === lowerAscii(user.email) ? 'confirmed' : 'ended'
}
