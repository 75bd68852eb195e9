import type { Express, Request } from 'express'
import type { ApiKey } from 'upgate'
import { type Context, callerOf, labelOf } from '../context.ts'
import { listOf, nameOf, objectOf } from '../http/body.ts'
import { type Part, partOf, shown } from '../http/part.ts'
import { ProblemError } from '../http/problem.ts'

/** An API key as the API and the pages show it. */
export interface KeyView {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  /** ISO 8601. */
  readonly createdAt: string
  /** ISO 8601, to about a minute. */
  readonly lastUsedAt: string | null
}

/** Keys that are not revoked, in order of creation. */
export async function listKeys(context: Context, request: Request): Promise<Part<KeyView>> {
  const part = partOf(request)
  return shown(await context.services.keys.page(part), part, viewOf)
}

/** Creating, listing and revoking API keys. */
export function addKeyRoutes(app: Express, context: Context): void {
  const { services, audit, live } = context

  app.post('/api/keys', async (request, response) => {
    const body = objectOf(request)
    const name = nameOf(body)
    const scopes = listOf(body, 'scopes', 32)
    const creator = callerOf(context, request)
    // A user grants only scopes that the user holds.
    const beyond = scopes.filter((scope) => !creator.scopes.includes(scope))
    if (beyond.length > 0) {
      throw new ProblemError({
        status: 403,
        code: 'scope_not_held',
        detail: 'You do not hold every scope that you want to give to this key.',
        action: `Choose from the scopes you hold: ${creator.scopes.join(', ') || 'none'}.`,
      })
    }
    const { id, token } = await services.keys.create({ name, scopes, createdBy: creator.id })
    audit.record({ event: 'key_created', key: id, name, scopes, by: labelOf(creator) })
    live.changed('keys')
    response.status(201).json({ id, token, name, scopes })
  })

  app.get('/api/keys', async (request, response) => {
    const { items, next } = await listKeys(context, request)
    response.json({ keys: items, next })
  })

  app.delete('/api/keys/:id', async (request, response) => {
    const key = await services.keys.revoke(request.params.id)
    if (key === undefined) throw unknownKey
    audit.record({
      event: 'key_revoked',
      key: key.id,
      name: key.name,
      by: labelOf(callerOf(context, request)),
    })
    live.changed('keys')
    response.sendStatus(204)
  })
}

const unknownKey = new ProblemError({
  status: 404,
  code: 'not_found',
  detail: 'There is no API key with this id.',
  action: 'List the keys and use one of their ids.',
})

function viewOf(key: ApiKey): KeyView {
  return {
    id: key.id,
    name: key.name,
    scopes: key.scopes,
    createdAt: new Date(key.createdAt).toISOString(),
    lastUsedAt: key.lastUsedAt === undefined ? null : new Date(key.lastUsedAt).toISOString(),
  }
}
