import type { Express, Request } from 'express'
import type { Account, AccountResult, SessionInfo } from 'upgate'
import { browserOf } from '../browser-label.ts'
import { passwordMaximum, passwordMinimum } from '../config.ts'
import { type Context, callerOf, labelOf } from '../context.ts'
import { listOf, objectOf, stringOf } from '../http/body.ts'
import { type Part, partOf, shown } from '../http/part.ts'
import { ProblemError } from '../http/problem.ts'

/** An account as the API and the pages show it. */
export interface UserView {
  readonly id: string
  readonly email: string
  readonly scopes: readonly string[]
  readonly disabled: boolean
  /** Whether this is the account of the request. */
  readonly current: boolean
  /** Whether the user of the request may change it: it has no scope that the user lacks. */
  readonly changeable: boolean
  readonly hasPassword: boolean
  /** Browsers that are logged in. */
  readonly sessions: number
  /** ISO 8601. */
  readonly createdAt: string
}

/** A session of another user. */
export interface UserSessionView {
  readonly browser: string
  readonly address: string | null
  /** ISO 8601, to about a minute. */
  readonly lastSeenAt: string
}

/** Lists accounts in order of creation. */
export async function listUsers(context: Context, request: Request): Promise<Part<UserView>> {
  const caller = callerOf(context, request)
  const part = partOf(request)
  const page = await context.services.accounts.page(part)
  const items = await Promise.all(
    page.items.map(async (account) => ({
      id: account.id,
      email: account.email,
      scopes: account.scopes,
      disabled: account.disabledAt !== undefined,
      current: account.id === caller.id,
      changeable: beyond(account, caller.scopes).length === 0,
      hasPassword: account.hasPassword,
      sessions: (await context.services.sessions.list(account.id)).length,
      createdAt: new Date(account.createdAt).toISOString(),
    })),
  )
  return shown({ ...page, items }, part, (user) => user)
}

/** Creating, listing, disabling and enabling accounts, and the sessions of each. */
export function addUserRoutes(app: Express, context: Context): void {
  const { services, audit, live } = context

  /** Finds an account that the user may change: a user with fewer scopes must not shut out one with more. */
  async function changeable(request: Request, id: string): Promise<Account> {
    const caller = callerOf(context, request)
    const account = await services.accounts.get(id)
    if (account === undefined) throw unknownUser
    if (account.id === caller.id) throw ownAccount
    const missing = beyond(account, caller.scopes)
    if (missing.length > 0) {
      throw new ProblemError({
        status: 403,
        code: 'scope_not_held',
        detail: 'This user holds scopes that you do not hold.',
        action: `Ask a user with ${missing.join(', ')}.`,
      })
    }
    return account
  }

  app.post('/api/users', async (request, response) => {
    const body = objectOf(request)
    const email = stringOf(body, 'email', 254)
    const scopes = listOf(body, 'scopes', 32)
    // Without a password, the account is for the identities of an edge.
    const password = Object.hasOwn(body, 'password') ? stringOf(body, 'password', passwordMaximum) : undefined
    const creator = callerOf(context, request)
    const missing = scopes.filter((scope) => !creator.scopes.includes(scope))
    if (missing.length > 0) {
      throw new ProblemError({
        status: 403,
        code: 'scope_not_held',
        detail: 'You do not hold every scope that you want to give to this user.',
        action: `Choose from the scopes you hold: ${creator.scopes.join(', ') || 'none'}.`,
      })
    }
    const { id } = done(await services.accounts.create({ email, password, scopes }))
    audit.record({ event: 'user_created', user: id, name: email, scopes, by: labelOf(creator) })
    live.changed('users')
    response.status(201).json({ id, email, scopes })
  })

  app.get('/api/users', async (request, response) => {
    const { items, next } = await listUsers(context, request)
    response.json({ users: items, next })
  })

  for (const change of ['disable', 'enable'] as const) {
    app.post(`/api/users/:id/${change}`, async (request, response) => {
      const { id, email } = await changeable(request, request.params.id)
      done(await services.accounts[change](id))
      const by = labelOf(callerOf(context, request))
      audit.record({ event: `user_${change}d`, user: id, name: email, by })
      live.changed('users')
      response.sendStatus(204)
    })
  }

  app.get('/api/users/:id/sessions', async (request, response) => {
    const account = await services.accounts.get(request.params.id)
    if (account === undefined) throw unknownUser
    const sessions = await services.sessions.list(account.id)
    response.json({ email: account.email, sessions: sessions.map(sessionOf) })
  })

  app.delete('/api/users/:id/sessions', async (request, response) => {
    const { id, email } = await changeable(request, request.params.id)
    done(await services.accounts.endAccess(id))
    const by = labelOf(callerOf(context, request))
    audit.record({ event: 'user_logged_out', user: id, name: email, by })
    live.changed('users')
    response.sendStatus(204)
  })
}

function beyond(account: Account, held: readonly string[]): readonly string[] {
  return account.scopes.filter((scope) => !held.includes(scope))
}

function sessionOf(session: SessionInfo): UserSessionView {
  return {
    browser: browserOf(session.label),
    address: session.clientAddress ?? null,
    lastSeenAt: new Date(session.lastSeenAt).toISOString(),
  }
}

/** The account of a change that was made; a refusal becomes a problem. */
export function done(result: AccountResult): Account {
  if (result.outcome === 'done') return result.account
  switch (result.code) {
    case 'unknown_account':
      throw unknownUser
    case 'email_taken':
      throw new ProblemError({
        status: 409,
        code: result.code,
        detail: result.reason,
        action: 'Use another address, or enable the account that has it.',
      })
    case 'over_capacity':
      throw new ProblemError({
        status: 503,
        code: 'unavailable',
        detail: result.reason,
        action: 'Try again in a moment; nothing was changed.',
        retryAfter: 1,
      })
    default:
      throw new ProblemError({
        status: 400,
        code: result.code,
        detail: result.reason,
        action: `Give an email address, and a password of ${passwordMinimum} to ${passwordMaximum} characters.`,
      })
  }
}

const unknownUser = new ProblemError({
  status: 404,
  code: 'not_found',
  detail: 'There is no user with this id.',
  action: 'List the users and use one of their ids.',
})

const ownAccount = new ProblemError({
  status: 409,
  code: 'own_account',
  detail: 'You cannot shut out yourself.',
  action: 'Ask another user, or end your sessions on the page of your account.',
})
