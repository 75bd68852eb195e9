import { isIP } from 'node:net'
import type { Express } from 'express'
import { type Context, callerOf, labelOf } from '../context.ts'
import { objectOf } from '../http/body.ts'
import { ProblemError } from '../http/problem.ts'
import { isEncryptedOrLocal, readSettings } from '../remote/settings.ts'
import { createTokenBucket } from '../token-bucket.ts'

/** Setting, showing and ending the connection to another gateway. */
export function addRemoteRoutes(app: Express, context: Context): void {
  const { remote, audit, now } = context
  // Each one opens a connection to an address that the user chooses.
  const limit = createTokenBucket(10, 6000)

  app.get('/api/remote', (_request, response) => {
    response.json(remote.view())
  })

  app.post('/api/remote', async (request, response) => {
    const settings = readSettings(objectOf(request))
    refuseInner(settings.url, context.mayConnectTo)
    const wait = limit(now())
    if (wait > 0) {
      throw new ProblemError({
        status: 429,
        code: 'too_many_requests',
        detail: 'The connection was set too often.',
        action: 'Wait, then try again.',
        retryAfter: Math.ceil(wait / 1000),
      })
    }
    const by = labelOf(callerOf(context, request))
    const secrets = await remote.set(settings, by)
    const way = isEncryptedOrLocal(settings.url) ? {} : { encryption: 'none' }
    audit.record({ event: 'remote_set', url: settings.url, secrets, ...way, by })
    response.status(202).json(remote.view())
  })

  app.delete('/api/remote', async (request, response) => {
    const url = await remote.remove()
    if (url !== undefined) {
      audit.record({ event: 'remote_removed', url, by: labelOf(callerOf(context, request)) })
    }
    response.sendStatus(204)
  })
}

/** Names are checked at each connection, by the addresses that they lead to then. */
function refuseInner(url: string, allowed: (address: string) => boolean): void {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) === 0 || allowed(host)) return
  throw new ProblemError({
    status: 400,
    code: 'address_not_allowed',
    detail: 'The address is inside a network, and this gateway connects to public addresses only.',
    action:
      'Use the public address of the other gateway, or allow this one with REMOTE_ALLOW where this gateway is started.',
  })
}
