import type { ServerResponse } from 'node:http'

/** An error of the proxy itself, shaped like the errors of the upstream APIs. */
export interface Failure {
  readonly status: number
  readonly code: string
  readonly message: string
}

export const badPath: Failure = {
  status: 404,
  code: 'unknown_path',
  message: 'There is no such path here; paths begin with /v1/ and hold no escapes.',
}
export const tooLarge: Failure = {
  status: 413,
  code: 'request_too_large',
  message: 'The request is larger than this proxy takes.',
}
export const unreachable: Failure = {
  status: 502,
  code: 'upstream_unreachable',
  message: 'The upstream did not answer. Try again.',
}
export const late: Failure = {
  status: 504,
  code: 'upstream_timeout',
  message: 'The upstream took too long to begin its answer.',
}

export const shuttingDown: Failure = {
  status: 503,
  code: 'shutting_down',
  message: 'This proxy is being restarted. Try again.',
}

/** The key was revoked or expired after the answer began. */
export function keyEnded(reason: string): Failure {
  const code = reason === 'expired' ? 'expired_credential' : 'revoked_credential'
  return { status: 401, code, message: 'The API key does not count any more.' }
}

/** The body that OpenAI's clients understand. */
export function errorBody({ code, message }: Omit<Failure, 'status'>): string {
  return JSON.stringify({ error: { message, type: 'proxy_error', param: null, code } })
}

/** Sends the failure if no answer has begun; otherwise breaks the answer off, so that it looks incomplete. */
export function fail(response: ServerResponse, failure: Failure): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = errorBody(failure)
  response.writeHead(failure.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    // The rest of the request is not read, so the connection cannot be reused.
    connection: 'close',
  })
  response.end(body)
}
