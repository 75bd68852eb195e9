import express, { type Express } from 'express'
import { type Context, callerOf, viewerOf } from '../context.ts'
import { bodyLimit } from '../http/body.ts'
import { logIn, logOut, setUp } from '../login.ts'
import { pageAfterLogin, startPage } from '../next.ts'
import { accountPage } from '../pages/account.ts'
import { auditPage } from '../pages/audit.ts'
import { chatPage } from '../pages/chat.ts'
import { diagnosisPage } from '../pages/diagnosis.ts'
import type { Html } from '../pages/html.ts'
import { keysPage } from '../pages/keys.ts'
import { loginPage } from '../pages/login.ts'
import { nodesPage } from '../pages/nodes.ts'
import { notFoundPage } from '../pages/not-found.ts'
import { remotePage } from '../pages/remote.ts'
import { setupPage } from '../pages/setup.ts'
import { usersPage } from '../pages/users.ts'
import { listInvitations, listPairings } from '../pairing-views.ts'
import { listDevices } from './devices.ts'
import { listKeys } from './keys.ts'
import { listSessions } from './sessions.ts'
import { listUsers } from './users.ts'

/** The pages, and the forms that work without JavaScript. */
export function addPageRoutes(app: Express, context: Context): void {
  const { services, nodes, audit } = context
  const form = express.urlencoded({ extended: false, limit: bodyLimit, parameterLimit: 10 })

  app.get('/login', async (request, response) => {
    if (!(await services.accounts.any())) return response.redirect(303, '/setup')
    send(response, loginPage({ next: pageAfterLogin(request.query.next) }))
  })

  app.post('/login', form, async (request, response) => {
    const { email, password, next } = fieldsOf(request.body)
    const problem = await logIn(context, request, response, email.slice(0, 254), password)
    if (problem === undefined) return response.redirect(303, pageAfterLogin(next))
    if (problem.retryAfter !== undefined) response.set('retry-after', String(problem.retryAfter))
    response.status(problem.status)
    send(response, loginPage({ next: pageAfterLogin(next), email: email.slice(0, 254), problem }))
  })

  app.post('/logout', async (request, response) => {
    await logOut(context, request, response)
    response.redirect(303, '/login')
  })

  app.get('/setup', async (_request, response) => {
    if (await services.accounts.any()) return response.redirect(303, '/login')
    send(response, setupPage())
  })

  app.post('/setup', form, async (request, response) => {
    const { code, email, password } = fieldsOf(request.body)
    const problem =
      (await setUp(context, request, { code, email, password })) ??
      (await logIn(context, request, response, email, password))
    if (problem === undefined) return response.redirect(303, startPage)
    response.status(problem.status)
    send(response, setupPage({ email: email.slice(0, 254), problem }))
  })

  app.get('/', (_request, response) => response.redirect(303, startPage))

  app.get('/nodes', async (request, response) => {
    const viewer = viewerOf(context, request)
    const held = callerOf(context, request).scopes
    const [devices, pairings, invitations] = await Promise.all([
      listDevices(context, request),
      listPairings(context, held),
      listInvitations(context),
    ])
    const { nodeUrl } = context
    send(response, nodesPage({ viewer, nodes: nodes.list(), devices, pairings, invitations, held, nodeUrl }))
  })

  app.get('/keys', async (request, response) => {
    const caller = callerOf(context, request)
    const keys = await listKeys(context, request)
    send(
      response,
      keysPage({ viewer: viewerOf(context, request), keys, held: caller.scopes, origin: context.origin }),
    )
  })

  app.get('/account', async (request, response) => {
    send(response, accountPage(viewerOf(context, request), await listSessions(context, request)))
  })

  app.get('/sessions', (_request, response) => response.redirect(303, '/account'))

  app.get('/users', async (request, response) => {
    const viewer = viewerOf(context, request)
    const held = callerOf(context, request).scopes
    send(response, usersPage({ viewer, users: await listUsers(context, request), held }))
  })

  app.get('/chat', (request, response) => {
    send(response, chatPage(viewerOf(context, request)))
  })

  app.get('/remote', (request, response) => {
    send(response, remotePage({ viewer: viewerOf(context, request), view: context.remote.view() }))
  })

  app.get('/diagnosis/:code', (request, response) => {
    const found = diagnosisPage(viewerOf(context, request), request.params.code)
    if (found === undefined) response.status(404)
    send(response, found ?? notFoundPage())
  })

  app.get('/audit', (request, response) => {
    send(response, auditPage({ viewer: viewerOf(context, request), lines: audit.list(), now: context.now() }))
  })
}

function send(response: express.Response, page: Html): void {
  response.type('html').send(page.toString())
}

/** Returns the fields of a form as strings; a missing or repeated field is empty. */
function fieldsOf(body: unknown): Record<'code' | 'email' | 'password' | 'next', string> {
  const fields = { code: '', email: '', password: '', next: '' }
  if (typeof body !== 'object' || body === null) return fields
  for (const name of Object.keys(fields) as (keyof typeof fields)[]) {
    const value: unknown = Object.hasOwn(body, name) ? (body as Record<string, unknown>)[name] : undefined
    if (typeof value === 'string') fields[name] = value
  }
  return fields
}
