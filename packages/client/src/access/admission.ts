import type { Clock } from '../clock.ts'
import { type EdgeUserToken, isToken, teamDomain } from '../edge.ts'
import { type AccessApplication, claimsOf, unverified, verifiedApplication } from './application.ts'

/** Milliseconds for which a verified application counts within one connection. */
const remembered = 3_600_000

/** The admission of a user's token to the server of one connection. */
export interface Admission {
  /**
   * The token to send; `undefined` if the user has none.
   *
   * @throws AccessRefusal if it must not be sent
   */
  tokenFor(url: string, edge: EdgeUserToken, signal: AbortSignal): Promise<string | undefined>
  /** Verifies again before the next token: the edge refused this one. */
  forget(): void
}

/** Creates the admission of one connection. */
export type CreateAdmission = (options: {
  readonly fetch: typeof globalThis.fetch
  readonly clock: Clock
  /** Milliseconds for the metadata and the keys together. */
  readonly timeout: number
}) => Admission

/** Sends a token only where the signed metadata of the server and the token itself name the same application. */
export const createAdmission: CreateAdmission = ({ fetch, clock, timeout }) => {
  let known:
    | { readonly application: AccessApplication; readonly pins: string; readonly until: number }
    | undefined
  return {
    async tokenFor(url, { userToken, team, audience }, signal) {
      // A token that is there already says for which team it is: no other team is asked for its keys.
      const own = typeof userToken === 'string' ? await claimsOf(userToken) : undefined
      const pins = {
        team: teamDomain(team) ?? teamDomain(hostOf(own?.iss)),
        audience: typeof audience === 'string' ? [audience] : audience,
      }
      const key = JSON.stringify([url, pins])
      if (known === undefined || known.pins !== key || known.until < clock.now()) {
        const limit = new AbortController()
        const timer = clock.setTimer(timeout, () => limit.abort())
        const both = AbortSignal.any([signal, limit.signal])
        const application = await verifiedApplication(url, pins, { fetch, clock, signal: both }).finally(() =>
          timer.cancel(),
        )
        known = { application, pins: key, until: clock.now() + remembered }
      }
      const { application } = known
      const token = typeof userToken === 'string' ? userToken : await userToken(application)
      if (token === undefined) return undefined
      if (!isToken(token) || !(await isFor(application, token))) {
        throw unverified(url, 'The token is for another application of Access than this host.')
      }
      return token
    },
    forget() {
      known = undefined
    },
  }
}

/** Whether an application's token names this application. The edge verifies its signature; here only its target counts. */
async function isFor({ team, audience }: AccessApplication, token: string): Promise<boolean> {
  const { iss, aud, type } = (await claimsOf(token)) ?? {}
  const tags: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  return iss === `https://${team}` && tags.includes(audience) && type === 'app'
}

function hostOf(issuer: unknown): string | undefined {
  return typeof issuer === 'string' ? /^https:\/\/([a-z\d.-]+)$/.exec(issuer)?.[1] : undefined
}
