import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { adviceFor, type CloseAdvice } from 'upgate/protocol'
import { WebSocket } from 'ws'
import { type Challenge, connectRequest, type Proof } from './connect-request.ts'

/** The end of one connection, and its consequence. */
export interface Ending {
  readonly advice: CloseAdvice
  /** Shortest pause that the gateway asks for, in milliseconds. */
  readonly wait: number
  /** Whether the node had been accepted: the pauses then start again from the shortest. */
  readonly accepted: boolean
  /** Whether the node waits for approval: another attempt is then no failure. */
  readonly pending?: boolean
}

export interface AttemptOptions {
  readonly url: URL
  readonly proof: Proof
  readonly headers: Readonly<Record<string, string>>
  print(line: string): void
  /** Called with a function that ends the connection. */
  onStop(stop: () => void): void
}

/** Milliseconds of silence after which the connection is given up; the gateway pings every 20 s. */
const silenceLimit = 50_000

/** Longest wait for the answer to the upgrade and to the first frame, in milliseconds. */
const answerLimit = 15_000

/** Connects once, authenticates in the first frame, and resolves at the end of the connection. */
export function attempt({ url, proof, headers, print, onStop }: AttemptOptions): Promise<Ending> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, {
      headers,
      handshakeTimeout: answerLimit,
      maxPayload: 1024 * 1024,
      followRedirects: false,
    })
    let accepted = false
    let refusal: Partial<Ending> = {}
    let silence = setTimeout(() => socket.terminate(), answerLimit)
    const heard = (): void => {
      clearTimeout(silence)
      silence = setTimeout(() => {
        print('The gateway has been silent for too long; closing this connection.')
        socket.terminate()
      }, silenceLimit)
    }
    const finish = (ending: Partial<Ending>): void => {
      clearTimeout(silence)
      resolve({ advice: 'reconnect', wait: 0, accepted, ...ending })
    }
    onStop(() => socket.close(1000, 'stopped'))

    socket.on('open', () => {
      const first = connectRequest(proof, undefined)
      if (first === undefined) return
      print('Connected, not authenticated yet: sending the token in the first frame.')
      socket.send(first)
    })
    socket.on('ping', heard)
    socket.on('message', (data, isBinary) => {
      heard()
      const message = isBinary ? undefined : parse(String(data))
      const challenge = challengeOf(message)
      if (challenge !== undefined) {
        if (proof.by === 'key') socket.send(connectRequest(proof, challenge) as string)
      } else if (message?.type === 'res' && message.id === 'connect') {
        accepted = message.ok === true
        if (accepted) {
          print(`Accepted as ${roleOf(message)}.`)
          keepToken(message, proof, print)
          socket.send(JSON.stringify({ type: 'req', id: randomUUID(), method: 'whoami' }))
        } else refusal = explainRefusal(message, print)
      } else print(`< ${visible(String(data)).slice(0, 500)}`)
    })
    socket.on('unexpected-response', (_request, response) => {
      finish(explainAnswer(response, print))
      response.resume()
      socket.terminate()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      print(`The connection failed: ${visible(error.message) || (error.code ?? 'unknown error')}.`)
    })
    socket.on('close', (code, reason) => {
      const words = visible(String(reason))
      if (refusal.pending) print('Waiting for approval.')
      else if (code === 1006) print('Closed without a reason (1006).')
      else print(`Closed with ${code}${words === '' ? '' : `, ${words}`}: ${meaningOf(code)}`)
      finish({ advice: adviceFor(code), ...refusal })
    })
  })
}

type Message = Readonly<Record<string, unknown>>

function parse(text: string): Message | undefined {
  try {
    return objectOf(JSON.parse(text))
  } catch {
    return undefined
  }
}

function objectOf(value: unknown): Message | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Message) : undefined
}

/** Reads the challenge that begins every connection; nodes with a token ignore it. */
function challengeOf(message: Message | undefined): Challenge | undefined {
  if (message?.type !== 'event' || message.event !== 'connect.challenge') return undefined
  const { nonce, ts } = objectOf(message.payload) ?? {}
  return typeof nonce === 'string' && typeof ts === 'number' ? { nonce, ts } : undefined
}

/** Stores the token that the gateway sends once, at the end of a pairing. */
function keepToken(message: Message, proof: Proof, print: (line: string) => void): void {
  const token = objectOf(objectOf(message.payload)?.auth)?.deviceToken
  if (proof.by !== 'key' || typeof token !== 'string') return
  proof.identity.keep(token)
  print('Paired: the token is kept beside the key.')
}

function roleOf(message: Message): string {
  const auth = objectOf(objectOf(message.payload)?.auth)
  return visible(String(auth?.role ?? 'unknown role'))
}

/** Prints the error frame, which has more details than a close code. */
function explainRefusal(message: Message, print: (line: string) => void): Partial<Ending> {
  const error = objectOf(message.error)
  const details = objectOf(error?.details)
  const wait = typeof error?.retryAfterMs === 'number' ? error.retryAfterMs : 0
  if (details?.reason === 'pairing_required') {
    print(`Comparison code: ${visible(String(details.comparisonCode))}`)
    print('Approve this node on the pages of the gateway, if they show the same code.')
    return { advice: 'back_off', wait, pending: true }
  }
  print(
    `Refused (${visible(String(details?.reason ?? error?.code ?? 'no code'))}): ${visible(String(error?.message ?? ''))}`,
  )
  if (typeof details?.action === 'string') print(`What to do: ${visible(details.action)}`)
  return error?.retryable === true ? { advice: 'back_off', wait } : { wait }
}

/** Handles an HTTP answer in place of the upgrade; a header tells whether the gateway sent it. */
function explainAnswer(response: IncomingMessage, print: (line: string) => void): Partial<Ending> {
  const status = response.statusCode ?? 0
  const marker = response.headers['upgate-refusal']
  if (typeof marker === 'string')
    print(`The gateway answered ${status} instead of upgrading (${visible(marker)}).`)
  else {
    print(
      `Something that is not an Upgate gateway answered ${status}: another server on this port, or a proxy in front of it.`,
    )
    // Without the query, which may contain tokens.
    const place = response.headers.location?.split('?')[0]
    if (place?.includes('/cdn-cgi/access/login/')) {
      print(
        'It is Cloudflare Access, and wants a login: set CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET.',
      )
    } else if (place !== undefined) print(`It redirects to ${visible(place)}.`)
  }
  const retryAfter = Number(response.headers['retry-after'])
  const wait = Number.isFinite(retryAfter) ? retryAfter * 1000 : 0
  return { advice: status === 429 || status >= 500 ? 'back_off' : 'stop', wait }
}

function meaningOf(code: number): string {
  switch (code) {
    case 1000:
      return 'a normal end.'
    case 1001:
      return 'the gateway is shutting down.'
    case 1002:
      return 'the gateway speaks another version of the protocol.'
    case 1008:
    case 4401:
      return 'the token or key was not accepted.'
    case 1009:
      return 'a message was too big.'
    case 1012:
      return 'the gateway is restarting.'
    case 1013:
      return 'the gateway could not check the token or key right now; it may be good.'
    case 4400:
      return 'the first frame was not understood.'
    case 4403:
      return 'this device may not be connected any more.'
    case 4408:
      return 'the token did not arrive in time.'
    case 4429:
      return 'too many messages or attempts.'
    default:
      return 'this code has no known meaning.'
  }
}

/** Makes a server's text safe to print: it must not control the terminal. */
function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?')
}
