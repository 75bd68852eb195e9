import type { ErrorRequestHandler, Request, RequestHandler } from 'express'
import { notFoundPage } from '../pages/not-found.ts'
import { bodyLimit } from './body.ts'
import { type Problem, ProblemError, sendProblem } from './problem.ts'

/** Answers requests that no route answered. */
export const notFound: RequestHandler = (request, response) => {
  if (wantsPage(request)) response.status(404).type('html').send(notFoundPage().toString())
  else {
    sendProblem(response, {
      status: 404,
      code: 'not_found',
      detail: 'There is nothing at this path.',
      action: 'Check the path and the method; the README lists them.',
    })
  }
}

/** Turns an exception of a route into a problem document. Unexpected exceptions are logged, not sent. */
export function createErrorHandler(log: (message: string) => void): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error)
    const problem = problemOf(error)
    if (problem.status === 500)
      log(`A request failed: ${error instanceof Error ? (error.stack ?? error.name) : 'unknown'}`)
    sendProblem(response, problem)
  }
}

function wantsPage(request: Request): boolean {
  return (
    request.method === 'GET' &&
    !request.path.startsWith('/api/') &&
    request.accepts(['json', 'html']) === 'html'
  )
}

function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem
  if (error instanceof Error && error.name === 'StoreUnavailable') {
    return {
      status: 503,
      code: 'unavailable',
      detail: 'The database did not answer.',
      action: 'Try again; if it fails again, check the log of the gateway and its disk.',
      retryAfter: 5,
    }
  }
  return (
    bodyProblemOf(error) ?? {
      status: 500,
      code: 'internal_error',
      detail: 'The gateway failed to answer this request.',
      action: 'Try again; the log of the gateway has the details.',
    }
  )
}

/** Maps errors of Express' body parsers by their `type`; their messages quote the body and are never sent. */
function bodyProblemOf(error: unknown): Problem | undefined {
  const { type, status } = (typeof error === 'object' && error !== null ? error : {}) as {
    readonly type?: unknown
    readonly status?: unknown
  }
  if (type === 'entity.too.large') {
    return {
      status: 413,
      code: 'body_too_large',
      detail: `The body is larger than ${bodyLimit} bytes.`,
      action: 'Send a smaller body.',
    }
  }
  if (type === 'entity.parse.failed') {
    return {
      status: 400,
      code: 'invalid_json',
      detail: 'The body is not valid JSON.',
      action: 'Send a JSON object, encoded in UTF-8.',
    }
  }
  if (type === 'encoding.unsupported' || type === 'charset.unsupported') {
    return {
      status: 415,
      code: 'unsupported_media_type',
      detail: 'The encoding or character set of the body is not supported.',
      action: 'Send JSON in UTF-8.',
    }
  }
  // The body ends early, or is declared as gzip and is not.
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return {
      status: 400,
      code: 'invalid_body',
      detail: 'The body could not be read.',
      action: 'Send the whole body, as long as Content-Length says.',
    }
  }
  return undefined
}
