import type { Request, Response } from 'express'
import type { Verification } from 'upgate'
import { passwordMaximum, passwordMinimum } from './config.ts'
import type { Context } from './context.ts'
import type { Problem } from './http/problem.ts'
import { adminScopes } from './scopes.ts'

/** Logs a person in: sets the cookie, or says why not. */
export async function logIn(
  context: Context,
  request: Request,
  response: Response,
  email: string,
  password: string,
): Promise<Problem | undefined> {
  const { services, audit } = context
  if (!(await services.accounts.any())) return setupRequired
  const clientAddress = context.addresses.counted(request)
  const address = context.addresses.shown(request)
  const verification = await services.accounts.login(email, password, { clientAddress })
  if (verification.outcome !== 'authenticated') {
    // The address that was tried is left out: people type their password there by mistake.
    audit.record({ event: 'login_failed', address, reason: reasonOf(verification) })
    return problemOf(verification)
  }
  const { principal } = verification
  const issued = await services.sessions.create(principal.id, {
    label: request.get('user-agent'),
    clientAddress,
  })
  if (issued === undefined) return wrongLogin
  context.setCookie(response, issued)
  audit.record({
    event: 'logged_in',
    principal: principal.id,
    name: principal.displayName,
    session: issued.session.id,
    address,
  })
  return undefined
}

/** Ends the session of a request, if there is one, and removes the cookie. */
export async function logOut(context: Context, request: Request, response: Response): Promise<void> {
  const principal = context.principalOf(request)
  if (principal?.sessionId !== undefined) {
    await context.services.sessions.revoke(principal.sessionId, 'logged_out')
    context.audit.record({
      event: 'logged_out',
      principal: principal.id,
      name: principal.displayName,
      session: principal.sessionId,
    })
  }
  context.removeCookie(response)
}

/** Creates the first account with the setup code, or says why not. */
export async function setUp(
  context: Context,
  request: Request,
  input: { readonly code: string; readonly email: string; readonly password: string },
): Promise<Problem | undefined> {
  const { services, audit, setupCode } = context
  if (setupCode === undefined || (await services.accounts.any())) return alreadySetUp
  const answer = setupCode.check(input.code)
  if (answer === 'wrong') {
    audit.record({ event: 'setup_code_wrong', address: context.addresses.shown(request) })
    return {
      status: 403,
      code: 'wrong_setup_code',
      detail: 'This is not the setup code.',
      action: 'Type the eight characters that the gateway printed when it started.',
    }
  }
  if (answer !== 'right') {
    return {
      status: 410,
      code: 'setup_code_expired',
      detail:
        answer === 'expired' ? 'The setup code has expired.' : 'The setup code was typed wrong too often.',
      action: 'Restart the gateway; it prints a new one.',
    }
  }
  const result = await services.accounts.createFirst({
    email: input.email,
    password: input.password,
    scopes: adminScopes,
    roles: ['admin'],
  })
  if (result.outcome === 'done') {
    audit.record({ event: 'account_created', principal: result.account.id, name: result.account.email })
    return undefined
  }
  switch (result.code) {
    case 'accounts_exist':
      return alreadySetUp
    case 'over_capacity':
      return busy(1)
    default:
      return {
        status: 400,
        code: result.code,
        detail: result.reason,
        action: `Give an email address, and a password of ${passwordMinimum} to ${passwordMaximum} characters.`,
      }
  }
}

const alreadySetUp: Problem = {
  status: 409,
  code: 'already_set_up',
  detail: 'This gateway has an account already.',
  action: 'Log in.',
}

const setupRequired: Problem = {
  status: 401,
  code: 'setup_required',
  detail: 'This gateway has no account yet.',
  action: 'Open its setup page in a browser and create the first one.',
}

/** One answer for an unknown address, a wrong password and a disabled account: none of them is for strangers. */
const wrongLogin: Problem = {
  status: 401,
  code: 'invalid_credential',
  detail: 'Email or password is wrong.',
  action: 'Check both and try again.',
}

function busy(retryAfter: number): Problem {
  return {
    status: 503,
    code: 'unavailable',
    detail: 'The login could not be checked right now.',
    action: 'Try again in a moment; the password was not judged.',
    retryAfter,
  }
}

type Failed = Exclude<Verification, { outcome: 'authenticated' }>

function problemOf(verification: Failed): Problem {
  switch (verification.outcome) {
    case 'rejected':
      return wrongLogin
    case 'unavailable':
      return busy(verification.retryAfter ?? 5)
    case 'throttled':
      return {
        status: 429,
        code: 'too_many_failures',
        detail: 'Too many failed logins.',
        action: `Wait ${Math.ceil(verification.retryAfter)} seconds, then try again with the right password.`,
        retryAfter: Math.ceil(verification.retryAfter),
      }
  }
}

function reasonOf(verification: Failed): string {
  return verification.outcome === 'rejected' ? verification.code : verification.outcome
}
