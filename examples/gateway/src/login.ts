import type { Request, Response } from 'express'
import type { LoginAnswer, Principal } from 'upgate'
import { passwordMaximum, passwordMinimum } from './config.ts'
import type { Context } from './context.ts'
import type { Problem } from './http/problem.ts'
import { adminScopes } from './scopes.ts'

/** A password that was verified, or the reason why not. */
export type CheckedPassword =
  | { readonly principal: Principal; readonly known: boolean; readonly problem?: undefined }
  | { readonly principal?: undefined; readonly problem: Problem }

/** Logs a user in: sets the cookie, or answers with the reason. */
export async function logIn(
  context: Context,
  request: Request,
  response: Response,
  email: string,
  password: string,
): Promise<Problem | undefined> {
  if (!(await context.services.accounts.any())) return setupRequired
  const checked = await checkPassword(context, request, email, password)
  if (checked.problem !== undefined) return checked.problem
  return startSession(context, request, response, checked)
}

/** Verifies a password, and records a failure. */
export async function checkPassword(
  context: Context,
  request: Request,
  email: string,
  password: string,
): Promise<CheckedPassword> {
  const { services, audit, addresses, cookies } = context
  const answer = await services.accounts.login(email, password, {
    clientAddress: addresses.counted(request),
    deviceCookie: cookies.device.read(request),
    origin: request.get('origin'),
  })
  if (answer.outcome === 'authenticated') return answer
  const seen = addresses.seen(request)
  // The email address is not recorded: users sometimes type their password there by mistake.
  audit.record({ event: 'login_failed', ...seen, ...failureOf(answer) })
  if (answer.deviceCookie === 'spent')
    audit.record({ event: 'browser_distrusted', ...seen, detail: distrusted })
  return { problem: problemOf(answer) }
}

/** Starts a session for a verified password, and sets its cookies. */
export async function startSession(
  context: Context,
  request: Request,
  response: Response,
  { principal, known: isKnown }: Extract<CheckedPassword, { problem?: undefined }>,
): Promise<Problem | undefined> {
  const { services, audit, addresses } = context
  const { device, session } = context.cookies
  const issued = await services.sessions.create(principal.id, {
    label: request.get('user-agent'),
    // For people, who look for their own; nothing counts by it.
    clientAddress: addresses.seen(request).address,
    // The browser replaces its old session: a copy of it must no longer count.
    replaces: session.read(request),
  })
  if (issued === undefined) return wrongLogin
  context.setCookie(response, issued)
  const known = await services.deviceCookies.issue(principal.id, device.read(request))
  if (known !== undefined) response.append('set-cookie', device.setCookie(known))
  audit.record({
    event: 'logged_in',
    principal: principal.id,
    name: principal.displayName,
    session: issued.session.id,
    ...addresses.seen(request),
    browser: isKnown ? 'known' : 'new',
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

/** Creates the first account with the setup code, or answers with the reason. */
export async function setUp(
  context: Context,
  request: Request,
  input: { readonly code: string; readonly email: string; readonly password: string },
): Promise<Problem | undefined> {
  const { services, audit, setupCode } = context
  if (setupCode === undefined || (await services.accounts.any())) return alreadySetUp
  const answer = setupCode.check(input.code)
  if (answer === 'wrong') {
    audit.record({ event: 'setup_code_wrong', ...context.addresses.seen(request) })
    return {
      status: 403,
      code: 'wrong_setup_code',
      detail: 'This is not the setup code.',
      action: 'Type the last code that the gateway printed. After ten wrong ones it prints another.',
    }
  }
  if (answer === 'expired') {
    return {
      status: 410,
      code: 'setup_code_expired',
      detail: 'The setup code has expired.',
      action: 'Type the new code that the gateway has just printed.',
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

/** The same answer for an unknown address, a wrong password and a disabled account: it reveals none of them. */
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
    action:
      'Try again in a moment; the password was not checked. A browser that logged in to the account before goes first.',
    retryAfter,
  }
}

type Failed = Exclude<LoginAnswer, { outcome: 'authenticated' }>

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
        // The same answer in all cases: it must reveal neither whether the account exists nor which client failed.
        action: `Wait ${Math.ceil(verification.retryAfter)} seconds, then try again with the right password. Failures of others do not hold up a browser that logged in to the account before: use that one.`,
        retryAfter: Math.ceil(verification.retryAfter),
      }
  }
}

const distrusted =
  'Ten wrong passwords came from a browser that logged in to the account before: it counts as unknown until it logs in again.'

/** The lock in words, for the audit page. */
const lockedOut = {
  pair: 'This account is locked for this address.',
  address: 'This address is locked for all accounts.',
  account: 'This account is locked for browsers that never logged in to it; known browsers can log in.',
} as const

/** Details for the operator, which the client does not get. */
function failureOf(answer: Failed): { reason: string; browser: string; locked?: string; detail?: string } {
  const browser = answer.known ? 'known' : 'new'
  switch (answer.outcome) {
    case 'rejected':
      return { reason: answer.code, browser }
    case 'unavailable':
      return { reason: answer.outcome, browser, detail: answer.reason }
    case 'throttled': {
      const { locked = 'pair' } = answer
      return { reason: answer.outcome, browser, locked, detail: lockedOut[locked] }
    }
  }
}
