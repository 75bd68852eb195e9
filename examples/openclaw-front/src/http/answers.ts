import type { ServerResponse } from 'node:http'

/** A refusal or failure of the front itself. */
export interface Problem {
  readonly status: number
  /** Stable: programs compare it. */
  readonly code: string
  readonly detail: string
  /** The next step. */
  readonly action: string
  /** Seconds. */
  readonly retryAfter?: number | undefined
}

export const unreachable: Problem = {
  status: 502,
  code: 'upstream_unreachable',
  detail: 'The gateway behind this front did not answer.',
  action: 'Try again in a moment. If it lasts, ask the operator whether the gateway runs at UPSTREAM_URL.',
}
export const late: Problem = {
  status: 504,
  code: 'upstream_timeout',
  detail: 'The gateway behind this front took too long.',
  action: 'Try again.',
}
export const badTarget: Problem = {
  status: 400,
  code: 'ambiguous_target',
  detail: 'Two servers could read this path in two ways.',
  action: 'Send the path without dot segments, doubled or encoded slashes.',
}
export const unexpectedBody: Problem = {
  status: 413,
  code: 'unexpected_body',
  detail: 'A request on this path has no body.',
  action: 'Send it without one.',
}
export const notFound: Problem = {
  status: 404,
  code: 'unknown_path',
  detail: 'The front has nothing on this path.',
  action: 'The README lists its paths.',
}
export const badBody: Problem = {
  status: 400,
  code: 'invalid_body',
  detail: 'The body is no JSON object or form, or lacks a field.',
  action: 'Send the fields that the README lists, at most 16 KiB.',
}

export function sendProblem(response: ServerResponse, problem: Problem): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const { status, code, detail, action, retryAfter } = problem
  response.setHeader('content-type', 'application/problem+json')
  response.setHeader('cache-control', 'no-store')
  if (retryAfter !== undefined) response.setHeader('retry-after', String(retryAfter))
  // The unread rest of a body must not become the next request.
  response.setHeader('connection', 'close')
  response.statusCode = status
  response.end(JSON.stringify({ status, code, detail, action }))
}

export function sendJson(response: ServerResponse, status: number, body?: unknown): void {
  response.setHeader('cache-control', 'no-store')
  response.statusCode = status
  if (body === undefined) {
    response.end()
    return
  }
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(body))
}
