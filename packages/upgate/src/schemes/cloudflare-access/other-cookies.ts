import { andThen } from '../../core/async/maybe-promise.ts'
import type { MaybePromise } from '../../core/contract/credential.ts'
import { subjectKey } from './claims.ts'
import { parseToken } from './compact-jws.ts'
import { type Refusal, rejected } from './refusal.ts'
import type { AccessClaims } from './types.ts'

/** Cookies that are checked; each one that names another subject costs a signature. */
const maxCookies = 4

/**
 * Refuses a request if its cookie verifies for another subject than its header, or could not be checked.
 *
 * Any site under a parent domain can set a cookie of this name, and browsers keep cookies of earlier logins.
 * A cookie that does not verify for this team and audience is ignored, and so are cookies beyond four.
 *
 * @param subject - subject of the header's token, as `subjectKey` gives it
 * @param verify - gives the claims of a token that is valid now; must fetch nothing
 */
export function refusalByCookies(
  cookies: readonly string[],
  subject: string,
  verify: (token: string) => MaybePromise<{ readonly claims: AccessClaims } | Refusal>,
): MaybePromise<Refusal | undefined> {
  const next = (at: number): MaybePromise<Refusal | undefined> => {
    const cookie = cookies[at]
    if (cookie === undefined || at >= maxCookies) return undefined
    const parsed = parseToken(cookie)
    if (typeof parsed === 'string' || subjectKey(parsed.payload) === subject) return next(at + 1)
    return andThen(verify(cookie), (found) => {
      if ('outcome' in found) return found.outcome === 'unavailable' ? found : next(at + 1)
      return subjectKey(found.claims) === subject
        ? next(at + 1)
        : rejected('header and cookie are of different subjects')
    })
  }
  return next(0)
}
