import type { RefusalCode } from '../contract/codes.ts'
import type { Decision, DocumentAnswer, Refused } from '../contract/decision.ts'
import type { LoginConfiguration } from '../contract/gate.ts'
import type { RenderedResponse } from '../contract/rendered-response.ts'
import { type AuthRequest, headerOf } from '../contract/request.ts'
import { compiledRuleOf } from '../contract/rules.ts'
import { corsHeaders, judgeOrigin, type OriginPolicy } from '../request/origin.ts'
import { asksForWebSocket } from '../request/upgrade-request.ts'
import { challengeFor, scopeChallenge } from './challenge.ts'
import { safeNext } from './safe-next.ts'

/** The facts of a gate that rendering needs. */
export interface RenderOptions {
  readonly name: string
  readonly loginPage: string | undefined
  readonly setupPage: string | undefined
  /** Where to leave an external login; its pages tell that to visitors without an account. */
  readonly externalLogin: LoginConfiguration | undefined
  readonly originPolicy: OriginPolicy
  /** Challenges of the schemes, for example `Bearer`, without parameters. */
  readonly challenges: readonly string[]
  /** Of the application, for every refusal; the gate's own headers of the same name win. */
  readonly refusalHeaders: readonly (readonly [string, string])[]
}

const statusTexts: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
}

/** Names the header that says which gate refused, and why. */
export const refusalHeader = 'Upgate-Refusal'

/**
 * Creates the one place where decisions become answers.
 *
 * Navigations of browsers are led to the login page (303) or get a small page; everything else gets a problem
 * document (RFC 9457) with a stable `code`. Every refusal carries {@link refusalHeader}.
 */
export function createRenderer(
  options: RenderOptions,
): (decision: Exclude<Decision, { outcome: 'allow' | 'defer' }>, request: AuthRequest) => RenderedResponse {
  const { loginPage, setupPage, externalLogin, originPolicy, challenges } = options
  const marker = `gate="${options.name}"`
  const { refusalHeaders } = options
  if (refusalHeaders.length === 0) return renderRefusal
  return (decision, request) => {
    const answer = renderRefusal(decision, request)
    if (decision.outcome === 'preflight' || decision.outcome === 'document') return answer
    const own = new Set(answer.headers.map(([name]) => name.toLowerCase()))
    const added = refusalHeaders.filter(([name]) => !own.has(name.toLowerCase()))
    return { ...answer, headers: [...answer.headers, ...added] }
  }

  function renderRefusal(
    decision: Exclude<Decision, { outcome: 'allow' | 'defer' }>,
    request: AuthRequest,
  ): RenderedResponse {
    if (decision.outcome === 'preflight') return { status: 204, headers: decision.headers, body: '' }
    if (decision.outcome === 'document') return documentAnswer(decision, request)
    const upgrade = asksForWebSocket(request)
    const headers: [string, string][] = [
      ['Cache-Control', 'no-store'],
      [refusalHeader, `${decision.code}; ${marker}`],
      ...corsHeaders(
        request,
        judgeOrigin(originPolicy, request, upgrade),
        compiledRuleOf(decision.rule)?.anyOrigin,
      ).map(([name, value]) => [name, value] as [string, string]),
      ...(decision.headers ?? []).map(([name, value]) => [name, value] as [string, string]),
    ]
    const page = isNavigation(request) && !upgrade && compiledRuleOf(decision.rule)?.challenge !== 'api'
    const place = page ? pageFor(decision, loginPage, setupPage) : undefined
    if (place !== undefined) {
      const next =
        request.method === 'GET' || request.method === 'HEAD' ? safeNext(request.target) : undefined
      const query =
        next === undefined || decision.code === 'setup_required' ? '' : `?next=${encodeURIComponent(next)}`
      headers.push(['Location', `${place}${query}`], ['Content-Length', '0'])
      return { status: 303, headers, body: '' }
    }
    if (decision.status === 401)
      headers.push(['WWW-Authenticate', challengeFor(decision, options.name, challenges)])
    if (decision.code === 'insufficient_scope') {
      const challenge = scopeChallenge(decision, options.name, challenges)
      if (challenge !== undefined) headers.push(['WWW-Authenticate', challenge])
    }
    if (decision.retryAfter !== undefined)
      headers.push(['Retry-After', String(Math.max(1, Math.ceil(decision.retryAfter)))])
    const body = page ? pageBody(decision, externalLogin) : problemBody(decision, upgrade)
    headers.push(
      ['Content-Type', page ? 'text/html; charset=utf-8' : 'application/problem+json'],
      ['Content-Length', String(utf8Length(body))],
      ['X-Content-Type-Options', 'nosniff'],
    )
    if (page)
      headers.push([
        'Content-Security-Policy',
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      ])
    return { status: decision.status, headers, body: request.method === 'HEAD' ? '' : body }
  }
}

/** The page for a browser that would be refused, unless it sent an explicit credential. */
function pageFor(
  decision: Refused,
  loginPage: string | undefined,
  setupPage: string | undefined,
): string | undefined {
  if (decision.code === 'setup_required') return setupPage
  return decision.code === 'auth_required' ? loginPage : undefined
}

/** Whether a browser is navigating: by `Sec-Fetch-Mode` where it is sent, else by `Accept`. */
function isNavigation(request: AuthRequest): boolean {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false
  const mode = headerOf(request, 'sec-fetch-mode')
  if (mode !== undefined) return mode === 'navigate'
  if (headerOf(request, 'x-requested-with') !== undefined) return false
  return (headerOf(request, 'accept') ?? '').includes('text/html')
}

/** The document of a rule: the same for every client, and so fit for caches. */
function documentAnswer({ headers, body }: DocumentAnswer, request: AuthRequest): RenderedResponse {
  return {
    status: 200,
    headers: [
      ['Cache-Control', 'public, max-age=300'],
      ...headers,
      ['Content-Type', 'application/json'],
      ['Content-Length', String(utf8Length(body))],
      ['X-Content-Type-Options', 'nosniff'],
    ],
    body: request.method === 'HEAD' ? '' : body,
  }
}

function problemBody(decision: Refused, upgrade: boolean): string {
  return `${JSON.stringify({
    // First, so that no fact can take the place of what every document has.
    ...decision.facts,
    type: `urn:problem-type:upgate:${decision.code}`,
    title: statusTexts[decision.status] ?? 'Refused',
    status: decision.status,
    code: decision.code,
    detail: decision.detail,
    action: decision.action,
    ...(decision.retryAfter === undefined ? {} : { retryAfter: decision.retryAfter }),
    // OpenClaw's clients read nothing else of a refused upgrade.
    ...(upgrade && { error: { type: decision.code, message: decision.detail } }),
  })}\n`
}

/** A refused identity can only leave: the external login would bring the same one again. */
const leaving: ReadonlySet<RefusalCode> = new Set([
  'unknown_identity',
  'account_disabled',
  'revoked_credential',
])

function pageBody(decision: Refused, external: LoginConfiguration | undefined): string {
  const leave = leaving.has(decision.code) ? external?.logoutUrl : undefined
  const title = statusTexts[decision.status] ?? 'Refused'
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>body{font:1.05rem/1.6 system-ui,sans-serif;max-width:34rem;margin:18vh auto 0;padding:0 1.5rem}h1{font-size:1.4rem}a{color:inherit}code{opacity:.7}</style>
<h1>${title}</h1>
<p>${escapeHtml(decision.detail)}</p>
<p>${escapeHtml(decision.action)}</p>
${leave === undefined ? '' : `<p><a href="${escapeHtml(leave)}">Log out of ${escapeHtml(external?.name ?? '')}</a></p>\n`}<p><code>${decision.code}</code></p>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

function utf8Length(text: string): number {
  let length = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x800) length += code >= 0xd800 && code < 0xe000 ? 1 : 2
    else if (code >= 0x80) length++
  }
  return length
}
