import type { Response } from 'express'

/** A refusal of the application, for a request that the gate admitted. Codes are stable. */
export interface Problem {
  readonly status: number
  readonly code: string
  /** One sentence for people. */
  readonly detail: string
  /** The next step. */
  readonly action: string
  /** Seconds until a retry makes sense. */
  readonly retryAfter?: number
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** Sends a problem document (RFC 9457), in the shape in which the gate sends its own refusals. */
export function sendProblem(response: Response, problem: Problem): void {
  const { status, code, detail, action, retryAfter } = problem
  if (retryAfter !== undefined) response.set('retry-after', String(retryAfter))
  response
    .status(status)
    .set('cache-control', 'no-store')
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: `urn:problem-type:upgate-gateway:${code}`,
        title: titles[status] ?? 'Error',
        status,
        code,
        detail,
        action,
        ...(retryAfter === undefined ? {} : { retryAfter }),
      }),
    )
}

/** Thrown by a route to answer with a problem document; the client gets the problem and nothing else. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}
