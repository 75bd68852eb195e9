import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Gate, type Services, safeNext } from 'upgate'
import { clientAddressOf } from 'upgate/node'
import type { PeopleLogin } from '../people.ts'
import { own } from '../rules.ts'
import { badBody, notFound, type Problem, sendProblem } from './answers.ts'
import { readBody } from './body.ts'

export interface LoginRoutes {
  show(response: ServerResponse, next: unknown): void
  logIn(request: IncomingMessage, response: ServerResponse): Promise<void>
  logOut(request: IncomingMessage, response: ServerResponse): Promise<void>
}

/** The login by password; with another login, there is nothing on these paths. */
export function createLoginRoutes(gate: Gate, services: Services, { cookies }: PeopleLogin): LoginRoutes {
  return {
    show(response, next) {
      if (cookies === undefined) sendProblem(response, notFound)
      else sendPage(response, 200, safeNext(next) ?? '/', undefined)
    },
    async logIn(request, response) {
      if (cookies === undefined) return sendProblem(response, notFound)
      const fields = await readBody(request)
      const email = fields?.get('email')
      const password = fields?.get('password')
      if (email === undefined || password === undefined) return sendProblem(response, badBody)
      const next = safeNext(fields?.get('next')) ?? '/'
      const { session, device } = cookies
      const clientAddress = clientAddressOf(gate, request)
      const answer = await services.accounts.login(email.slice(0, 254), password, {
        clientAddress,
        deviceCookie: device.read(request),
        origin: request.headers.origin,
      })
      if (answer.outcome !== 'authenticated') {
        const problem = problemOf(answer)
        return isForm(request)
          ? sendPage(response, problem.status, next, problem)
          : sendProblem(response, problem)
      }
      const issued = await services.sessions.create(answer.principal.id, {
        label: request.headers['user-agent'],
        clientAddress,
        // The browser replaces its old session: a copy of it must no longer count.
        replaces: session.read(request),
      })
      if (issued === undefined) return sendProblem(response, wrong)
      const set = [session.setCookie(issued)]
      const known = await services.deviceCookies.issue(answer.principal.id, device.read(request))
      if (known !== undefined) set.push(device.setCookie(known))
      response.setHeader('set-cookie', set)
      response.setHeader('cache-control', 'no-store')
      if (isForm(request)) response.setHeader('location', next)
      response.statusCode = isForm(request) ? 303 : 204
      response.end()
    },
    async logOut(request, response) {
      if (cookies === undefined) return sendProblem(response, notFound)
      const { sessionId } = gate.principalOf(request) ?? {}
      if (sessionId !== undefined) await services.sessions.revoke(sessionId, 'logged_out')
      response.setHeader('set-cookie', cookies.session.removeCookie())
      response.setHeader('location', `${own}/login`)
      response.statusCode = 303
      response.end()
    },
  }
}

const wrong: Problem = {
  status: 401,
  code: 'invalid_credential',
  detail: 'Email address and password do not fit together.',
  action: 'Try again.',
}

function problemOf(answer: { readonly outcome: string; readonly retryAfter?: number | undefined }): Problem {
  if (answer.outcome === 'throttled') {
    return {
      status: 429,
      code: 'too_many_failures',
      detail: 'There were too many wrong passwords.',
      action: 'Wait, then try again.',
      retryAfter: answer.retryAfter,
    }
  }
  if (answer.outcome === 'unavailable') {
    return {
      status: 503,
      code: 'unavailable',
      detail: 'The password could not be checked.',
      action: 'Try again in a moment.',
      retryAfter: 1,
    }
  }
  return wrong
}

function isForm({ headers }: IncomingMessage): boolean {
  return headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true
}

function sendPage(
  response: ServerResponse,
  status: number,
  next: string,
  problem: Problem | undefined,
): void {
  response.statusCode = status
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.setHeader('cache-control', 'no-store')
  response.setHeader(
    'content-security-policy',
    "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  )
  response.setHeader('referrer-policy', 'same-origin')
  response.setHeader('x-content-type-options', 'nosniff')
  if (problem?.retryAfter !== undefined) response.setHeader('retry-after', String(problem.retryAfter))
  response.end(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Log in</title><h1>Log in</h1>
${problem === undefined ? '' : `<p role="alert">${problem.detail} ${problem.action}</p>`}
<form method="post" action="${own}/login"><input type="hidden" name="next" value="${escapeHtml(next)}">
<p><label>Email address <input name="email" type="email" autocomplete="username" required autofocus></label>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<p><button>Log in</button></form>`)
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
