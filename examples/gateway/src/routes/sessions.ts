import type { Express, Request } from 'express'
import type { SessionInfo } from 'upgate'
import { browserOf } from '../browser-label.ts'
import { type Context, callerOf, labelOf } from '../context.ts'
import { ProblemError } from '../http/problem.ts'

/** A session as the API and the pages show it. */
export interface SessionView {
  readonly id: string
  /** Label from the browser's `User-Agent`, such as `Firefox on Linux`. */
  readonly browser: string
  readonly address: string | null
  /** Whether this is the session of the request. */
  readonly current: boolean
  /** ISO 8601. */
  readonly createdAt: string
  /** ISO 8601, to about a minute. */
  readonly lastSeenAt: string
}

/** Lists the user's sessions: the current one first, then by last use. */
export async function listSessions(context: Context, request: Request): Promise<readonly SessionView[]> {
  const { id, sessionId } = callerOf(context, request)
  const views = (await context.services.sessions.list(id)).map((session) => viewOf(session, sessionId))
  const place = ({ current, lastSeenAt }: SessionView): string => `${current ? 1 : 0} ${lastSeenAt}`
  return views.sort((one, other) => (place(one) < place(other) ? 1 : -1))
}

/** Listing and ending the user's own sessions; sessions of other users stay hidden. */
export function addSessionRoutes(app: Express, context: Context): void {
  const { services, audit } = context

  async function end(request: Request, session: SessionView): Promise<boolean> {
    const caller = callerOf(context, request)
    if (!(await services.sessions.revoke(session.id, 'revoked'))) return false
    audit.record({
      event: 'session_revoked',
      session: session.id,
      name: session.browser,
      by: labelOf(caller),
    })
    return true
  }

  app.get('/api/sessions', async (request, response) => {
    response.json({ sessions: await listSessions(context, request) })
  })

  app.delete('/api/sessions/others', async (request, response) => {
    const others = (await listSessions(context, request)).filter((session) => !session.current)
    for (const session of others) await end(request, session)
    // The other browsers lose their device cookies; this one stays known.
    const except = context.cookies.device.read(request)
    await services.deviceCookies.revokeAll(callerOf(context, request).id, { except })
    response.sendStatus(204)
  })

  app.delete('/api/sessions/:id', async (request, response) => {
    // Search only the user's own sessions: an id alone gives access to none.
    const session = (await listSessions(context, request)).find((one) => one.id === request.params.id)
    if (session === undefined || !(await end(request, session))) throw unknownSession
    if (session.current) context.removeCookie(response)
    response.sendStatus(204)
  })
}

const unknownSession = new ProblemError({
  status: 404,
  code: 'not_found',
  detail: 'You have no session with this id.',
  action: 'List your sessions and use one of their ids.',
})

function viewOf(session: SessionInfo, current: string | undefined): SessionView {
  return {
    id: session.id,
    browser: browserOf(session.label),
    address: session.clientAddress ?? null,
    current: session.id === current,
    createdAt: new Date(session.createdAt).toISOString(),
    lastSeenAt: new Date(session.lastSeenAt).toISOString(),
  }
}
