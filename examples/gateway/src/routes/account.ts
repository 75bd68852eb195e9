import type { Express } from 'express'
import { passwordMaximum } from '../config.ts'
import { type Context, callerOf, labelOf } from '../context.ts'
import { objectOf, stringOf } from '../http/body.ts'
import { type Problem, ProblemError, sendProblem } from '../http/problem.ts'
import { checkPassword, startSession } from '../login.ts'
import { done } from './users.ts'

/** The password of the user's own account. */
export function addAccountRoutes(app: Express, context: Context): void {
  const { services, audit } = context

  app.post('/api/account/password', async (request, response) => {
    // A program with a token of the account must not be able to take the account over.
    const { id, displayName, sessionId } = callerOf(context, request)
    if (context.login.login !== 'built-in' || displayName === undefined || sessionId === undefined)
      throw noPassword
    const body = objectOf(request)
    const current = stringOf(body, 'current', passwordMaximum)
    const next = stringOf(body, 'next', passwordMaximum)
    // It counts failures like a login: a browser left open must not be a way to guess.
    const checked = await checkPassword(context, request, displayName, current)
    if (checked.problem !== undefined) {
      // A 401 would mean that the session has ended, and pages would go to the login.
      sendProblem(response, checked.problem.status === 401 ? wrongPassword : checked.problem)
      return
    }
    done(await services.accounts.setPassword(id, next))
    audit.record({
      event: 'password_changed',
      principal: id,
      name: displayName,
      by: labelOf(checked.principal),
    })
    // The change ended all sessions and device cookies of the account, and this browser stays logged in.
    const problem = await startSession(context, request, response, checked)
    if (problem === undefined) response.sendStatus(204)
    else sendProblem(response, problem)
  })
}

const wrongPassword: Problem = {
  status: 403,
  code: 'wrong_password',
  detail: 'The current password is wrong.',
  action: 'Type the password with which you logged in.',
}

const noPassword = new ProblemError({
  status: 409,
  code: 'external_login',
  detail: 'This login has no password here.',
  action: 'Change the password where you log in.',
})
