import { type Row, rowsOf } from '../row.ts'
import { reached } from '../seen.ts'

/** Nothing went wrong. */
export const fineRows: readonly Row[] = rowsOf('protocol', [
  {
    code: 'connected',
    severity: 'info',
    title: 'The connection works',
    sees: 'The socket is open, or the request was answered with a 2xx status, and nothing contradicts it.',
    cause: 'Nothing is wrong as far as it was looked at.',
    action: 'Nothing.',
    retry: 'never',
    matches: (seen) =>
      seen.close === undefined &&
      !seen.error.any &&
      (reached(seen, 'open') ||
        seen.accepted ||
        seen.upgraded !== undefined ||
        (!seen.upgrade &&
          seen.answer !== undefined &&
          seen.answer.status >= 200 &&
          seen.answer.status < 300)),
  },
])

/** The last row: every observation has a verdict. */
export const fallbackRows: readonly Row[] = rowsOf('net', [
  {
    code: 'unknown',
    title: 'The cause is not known',
    sees: 'Nothing, or signs that no other page describes.',
    cause: 'Too little was observed, or a case that this version does not know.',
    action:
      'Run the attempt again with a client that is no browser, and report the evidence if it stays unclear.',
    retry: 'backoff',
    matches: () => true,
  },
])

/** Before the ends of open sockets: the client gave up. */
export const unansweredRows: readonly Row[] = rowsOf('protocol', [
  {
    code: 'acknowledgement_missing',
    title: 'The server does not answer the credential',
    sees: 'The socket is open, the credential was sent, and no acknowledgement came within the time limit.',
    cause: 'The server speaks another protocol than the client’s handshake, or its verifier hangs.',
    action: 'Compare the client’s `handshake` with the path’s, and look at the server’s log.',
    retry: 'backoff',
    matches: (seen) => seen.error.timedOut && reached(seen, 'open') && !seen.accepted,
  },
])
