import { WebSocket } from 'ws'
import { type Held, hold } from '../sockets/relay.ts'
import { type Challenge, challengeOf } from './connect-request.ts'

/** Longest message in both directions, in bytes: the gateway's own limit for accepted sockets. */
export const longestMessage: number = 25 * 1024 * 1024

/** Reasons for which there is no socket at the gateway. */
export type UpstreamErrorCode = 'upstream_unreachable' | 'upstream_refused' | 'upstream_silent'

/** No socket at the gateway. The message is for the log of the operator. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  readonly code: UpstreamErrorCode

  constructor(code: UpstreamErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export interface OpenOptions {
  /** `ws:` or `wss:`, with path and query. */
  readonly url: URL
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly signal: AbortSignal
}

/** Milliseconds for the upgrade, and for the challenge after it. */
const patience = 8000

/**
 * Opens a socket at the gateway; its messages are kept until its owner listens.
 *
 * @throws {UpstreamError} as a rejection, or the reason of the signal
 */
export function openUpstream({ url, headers, signal }: OpenOptions): Promise<Held> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error)
      return
    }
    const socket = new WebSocket(url, {
      headers: headers as Record<string, string>,
      handshakeTimeout: patience,
      maxPayload: longestMessage,
      // The gateway does not compress, and a proxy that inflates could be made to.
      perMessageDeflate: false,
      followRedirects: false,
    })
    const settle = (answer: Held | Error): void => {
      signal.removeEventListener('abort', abort)
      if (answer instanceof Error) {
        reject(answer)
        socket.terminate()
      } else resolve(answer)
    }
    const abort = (): void => settle(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    // Stays for the life of the socket: an `error` without a listener ends the process.
    socket.on('error', (error) => settle(new UpstreamError('upstream_unreachable', reasonOf(error))))
    socket.once('unexpected-response', (_request, response) => {
      settle(
        new UpstreamError(
          'upstream_refused',
          `The gateway answered the upgrade with ${response.statusCode}.`,
        ),
      )
    })
    socket.once('open', () => settle(hold(socket)))
  })
}

/** Reads the challenge with which the gateway opens a socket; later messages are kept. */
export function readChallenge(
  opened: Held,
  signal: AbortSignal,
): Promise<Challenge & { readonly held: Held }> {
  const { socket } = opened
  return new Promise((resolve, reject) => {
    const settle = (answer: Challenge | Error): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.off('message', read)
      socket.off('close', gone)
      if (answer instanceof Error) {
        reject(answer)
        socket.terminate()
      } else resolve({ ...answer, held: hold(socket) })
    }
    const abort = (): void => settle(signal.reason as Error)
    const gone = (code: number): void =>
      settle(new UpstreamError('upstream_refused', `The gateway closed the new socket with ${code}.`))
    const read = (data: unknown, isBinary: boolean): void => {
      const challenge = challengeOf(data, isBinary)
      const wrong = 'The gateway did not begin with connect.challenge: it is no OpenClaw gateway.'
      settle(challenge ?? new UpstreamError('upstream_refused', wrong))
    }
    const timer = setTimeout(
      () => settle(new UpstreamError('upstream_silent', 'The gateway sent no challenge.')),
      patience,
    )
    if (signal.aborted) {
      abort()
      return
    }
    signal.addEventListener('abort', abort, { once: true })
    const [first] = opened.take()
    if (first !== undefined) {
      socket.resume()
      read(...first)
      return
    }
    socket.once('message', read)
    socket.once('close', gone)
    if (socket.readyState !== socket.OPEN) gone(1006)
  })
}

function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return `The gateway cannot be reached${code === undefined ? `: ${error.message}` : ` (${code})`}.`
}
