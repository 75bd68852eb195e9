import type { Express } from 'express'
import { passwordMaximum, passwordMinimum } from '../config.ts'
import { type Context, callerOf } from '../context.ts'
import { objectOf, stringOf } from '../http/body.ts'
import { sendProblem } from '../http/problem.ts'
import { logIn, logOut, setUp } from '../login.ts'

/** Login, log-out, set-up, and the principal of the request. */
export function addAuthRoutes(app: Express, context: Context): void {
  app.get('/api/auth/config', async (_request, response) => {
    if (context.login.login === 'external') {
      response.json({ ...context.login, setupRequired: false })
      return
    }
    response.json({
      login: 'password',
      setupRequired: !(await context.services.accounts.any()),
      loginPage: '/login',
      setupPage: '/setup',
      passwordMinimum,
    })
  })

  app.post('/api/auth/login', async (request, response) => {
    const body = objectOf(request)
    const email = stringOf(body, 'email', 254)
    const password = stringOf(body, 'password', passwordMaximum)
    const problem = await logIn(context, request, response, email, password)
    if (problem === undefined) response.sendStatus(204)
    else sendProblem(response, problem)
  })

  app.post('/api/auth/setup', async (request, response) => {
    const body = objectOf(request)
    const code = stringOf(body, 'code', 64)
    const email = stringOf(body, 'email', 254)
    const password = stringOf(body, 'password', passwordMaximum)
    const problem =
      (await setUp(context, request, { code, email, password })) ??
      (await logIn(context, request, response, email, password))
    if (problem === undefined) response.sendStatus(204)
    else sendProblem(response, problem)
  })

  app.post('/api/auth/logout', async (request, response) => {
    await logOut(context, request, response)
    response.sendStatus(204)
  })

  app.get('/api/me', (request, response) => {
    const principal = callerOf(context, request)
    response.json({
      id: principal.id,
      kind: principal.kind,
      name: principal.displayName ?? null,
      scopes: principal.scopes,
      roles: principal.roles,
      expiresAt: principal.expiresAt === undefined ? null : new Date(principal.expiresAt).toISOString(),
    })
  })
}
