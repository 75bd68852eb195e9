import type { Application } from './applications.ts'
import type { OriginEffects } from './faults.ts'

/** The outcome of a request, as the log names it. */
export type Outcome =
  | 'invalid'
  | 'unknown_host'
  | 'edge_error'
  | 'rate_limited'
  | 'challenged'
  | 'discovery'
  | 'protected_resource'
  | 'login_redirect'
  | 'managed_oauth'
  | 'unauthorized'
  | 'forbidden'
  | 'session'
  | 'team'
  | 'jwks'
  | 'jwks_outage'
  | 'forwarded'
  | 'bypassed'
  | 'ungated'
  | 'origin_error'

/** The identity that the edge found for a request. */
export interface Identity {
  readonly kind: 'user' | 'service'
  /** The email address, or the name of the service token. */
  readonly id: string
}

/** An answer that the edge gives itself. */
export interface Answer {
  readonly kind: 'answer'
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
  readonly outcome: Outcome
  readonly application?: Application | undefined
  readonly identity?: Identity | undefined
}

/** A request that goes on to the origin. */
export interface Forward {
  readonly kind: 'forward'
  readonly upstream: URL
  /** Raw header list, name and value alternating. */
  readonly headers: readonly string[]
  /** Headers that the edge adds to the origin's answer. */
  readonly setCookies: readonly string[]
  readonly effects: OriginEffects
  readonly outcome: Outcome
  readonly application?: Application | undefined
  readonly identity?: Identity | undefined
}

/** A request that gets no answer at all until its client gives up. */
export interface Silence {
  readonly kind: 'silence'
  readonly outcome: Outcome
}

/** The edge's action on a request. */
export type Verdict = Answer | Forward | Silence

/** Makes an HTML answer. */
export function html(
  status: number,
  outcome: Outcome,
  title: string,
  body: string,
  headers: readonly (readonly [string, string])[] = [],
): Answer {
  const page =
    `<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title>` +
    '<meta name="viewport" content="width=device-width"></head>' +
    `<body>${body}</body></html>\n`
  const policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
  const all = [
    ['content-type', 'text/html; charset=UTF-8'],
    ['content-security-policy', policy],
    ...headers,
  ] as const
  return { kind: 'answer', status, outcome, body: page, headers: all }
}

/** Makes a JSON answer. */
export function json(
  status: number,
  outcome: Outcome,
  value: unknown,
  headers: readonly (readonly [string, string])[] = [],
): Answer {
  const all = [['content-type', 'application/json'], ...headers] as const
  return { kind: 'answer', status, outcome, body: `${JSON.stringify(value)}\n`, headers: all }
}

/** Makes a redirect. The caller has validated where it leads. */
export function redirect(
  location: string,
  outcome: Outcome,
  headers: readonly (readonly [string, string])[] = [],
): Answer {
  return { kind: 'answer', status: 302, outcome, body: '', headers: [['location', location], ...headers] }
}

/** Escapes text for HTML content and quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
