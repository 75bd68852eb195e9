import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { adviceFor, type CloseAdvice } from 'upgate/protocol'
import { WebSocket } from 'ws'
import { type Challenge, connectRequest, type Proof } from './connect-request.ts'

/** How one connection ended, and what that means. */
export interface Ending {
  readonly advice: CloseAdvice
  /** Milliseconds the gateway asks to wait at least. */
  readonly wait: number
  /** Whether it had been accepted: the pauses begin anew then. */
  readonly accepted: boolean
  /** It waits for a person's approval: asking again is no failure. */
  readonly pending?: boolean
}

export interface AttemptOptions {
  readonly url: URL
  readonly proof: Proof
  readonly headers: Readonly<Record<string, string>>
  print(line: string): void
  /** Gets a function that ends the connection. */
  onStop(stop: () => void): void
}

/** The gateway pings every 20 s; silence for so long means that the connection is gone. In milliseconds. */
const silenceLimit = 50_000

/** How long the gateway may take to answer the upgrade and the first frame, in milliseconds. */
const answerLimit = 15_000

/** Connects once, proves itself in the first frame, and tells how it ended. */
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
        print('Nothing was heard of the gateway for a while; giving this connection up.')
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
      print('Connected, not proved yet: sending the token in the first frame.')
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
      else if (code === 1006) print('Closed without a word (1006).')
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

/** Every connection begins with it; who has a token needs none. */
function challengeOf(message: Message | undefined): Challenge | undefined {
  if (message?.type !== 'event' || message.event !== 'connect.challenge') return undefined
  const { nonce, ts } = objectOf(message.payload) ?? {}
  return typeof nonce === 'string' && typeof ts === 'number' ? { nonce, ts } : undefined
}

/** The end of a pairing: the gateway shows the token once. */
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

/** The error frame says more than a close code has room for. */
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

/** An HTTP answer instead of the upgrade: the header says whether it was the gateway at all. */
function explainAnswer(response: IncomingMessage, print: (line: string) => void): Partial<Ending> {
  const status = response.statusCode ?? 0
  const marker = response.headers['upgate-refusal']
  if (typeof marker === 'string')
    print(`The gateway answered ${status} instead of upgrading (${visible(marker)}).`)
  else {
    print(
      `Something that is not an Upgate gateway answered ${status}: another server on this port, or a proxy in front of it.`,
    )
    // Without the query, which may hold tokens.
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
      return 'the gateway could not check it right now; nothing was judged.'
    case 4400:
      return 'the first frame was not understood.'
    case 4403:
      return 'this device may not be connected any more.'
    case 4408:
      return 'the token did not arrive in time.'
    case 4429:
      return 'too many messages or attempts.'
    default:
      return 'no meaning is agreed for this code.'
  }
}

/** What a server sends must not steer the terminal it is printed on. */
function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?')
}
