import {
  type ClientHandshake,
  connect,
  isConnectError,
  type WsTransportOptions,
  wsTransport,
} from '@upgate/client'
import { clean, type Diagnosis, diagnose, withoutSecrets } from '@upgate/diagnosis'
import { fail, type Outcome, pass } from './check.ts'

/** An accepted socket, or why it is none. */
export interface Session {
  readonly diagnosis: Diagnosis | undefined
  /** The principal. */
  readonly summary: string
  /** Its roles and scopes. */
  readonly granted: string
  /** Calls back once when the socket ends. */
  onEnd(listener: (diagnosis: Diagnosis | undefined) => void): void
  close(): void
}

/** Sends the credential, as a client of the gate does, and does not try again. */
export async function authenticate(
  url: string,
  {
    token,
    cookie,
    edge,
    origin,
    handshake,
    timeout,
    signal,
    network,
  }: {
    readonly token: string | undefined
    readonly cookie: string | undefined
    readonly edge: { readonly clientId: string; readonly clientSecret: string } | undefined
    readonly origin: string | undefined
    readonly handshake: ClientHandshake
    readonly timeout: number
    readonly signal: AbortSignal
    readonly network: WsTransportOptions
  },
): Promise<Session> {
  const connection = connect(url, {
    ...(token !== undefined && { credential: token }),
    ...(edge !== undefined && { edge }),
    headers: {
      ...(cookie !== undefined && { cookie }),
      ...(origin !== undefined && { origin }),
    },
    handshake,
    transport: wsTransport(network),
    reconnect: false,
    keepAlive: 0,
    timeout,
    signal,
  })
  let ended = false
  let end: Diagnosis | undefined
  const listeners: ((diagnosis: Diagnosis | undefined) => void)[] = []
  connection.on('closed', (error) => {
    ended = true
    end = error?.diagnosis
    for (const listener of listeners) listener(end)
  })
  const common = {
    onEnd(listener: (diagnosis: Diagnosis | undefined) => void) {
      if (ended) listener(end)
      else listeners.push(listener)
    },
    close: () => connection.close(),
  }
  try {
    const acceptance = await connection.accepted
    // Printed without a diagnosis, and the server chose all of it.
    const { principal, roles, scopes } = withoutSecrets(
      { principal: acceptance.principal, roles: acceptance.roles, scopes: acceptance.scopes },
      [token, cookie, edge?.clientId, edge?.clientSecret],
    )
    const list = (names: readonly string[]): string =>
      names.length === 0 ? 'none' : clean(names.slice(0, 12).join(', '), 160)
    return {
      ...common,
      diagnosis: undefined,
      summary:
        principal === undefined
          ? 'accepted'
          : `accepted as ${clean(principal.kind, 20)} ${clean(principal.id, 60)}`,
      granted: `roles: ${list(roles)}; scopes: ${list(scopes)}`,
    }
  } catch (error) {
    const diagnosis = isConnectError(error) ? error.diagnosis : diagnose({ url })
    return { ...common, diagnosis, summary: '', granted: '' }
  }
}

/** Keeps an accepted socket open without a byte from this side. */
export function stayIdle(session: Session, seconds: number, signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve) => {
    const done = (outcome: Outcome): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      resolve(outcome)
    }
    const stop = (): void => done({ status: 'unknown', detail: 'interrupted' })
    const timer = setTimeout(() => done(pass(`still open after ${seconds} s without a byte`)), seconds * 1000)
    signal.addEventListener('abort', stop, { once: true })
    session.onEnd((diagnosis) =>
      done(diagnosis === undefined ? { status: 'unknown', detail: 'closed' } : fail(diagnosis)),
    )
  })
}
