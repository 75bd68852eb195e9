import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { adviceFor, type CloseAdvice } from 'upgate/protocol'
import { WebSocket } from 'ws'

/** How one connection ended, and what that means. */
export interface Ending {
  readonly advice: CloseAdvice
  /** Milliseconds the gateway asks to wait at least. */
  readonly wait: number
  /** Whether it had been accepted: the pauses begin anew then. */
  readonly accepted: boolean
}

export interface AttemptOptions {
  readonly url: URL
  readonly token: string
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
export function attempt({ url, token, headers, print, onStop }: AttemptOptions): Promise<Ending> {
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
      print('Connected, not proved yet: sending the token in the first frame.')
      socket.send(connectRequest(token))
    })
    socket.on('ping', heard)
    socket.on('message', (data, isBinary) => {
      heard()
      const message = isBinary ? undefined : parse(String(data))
      if (message?.type === 'res' && message.id === 'connect') {
        accepted = message.ok === true
        if (accepted) {
          print(`Accepted as ${roleOf(message)}.`)
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
      if (code === 1006) print('Closed without a word (1006).')
      else print(`Closed with ${code}${words === '' ? '' : `, ${words}`}: ${meaningOf(code)}`)
      finish({ advice: adviceFor(code), ...refusal })
    })
  })
}

function connectRequest(token: string): string {
  return JSON.stringify({
    type: 'req',
    id: 'connect',
    method: 'connect',
    params: {
      protocol: { min: 3, max: 4 },
      client: { id: 'upgate-example-node', version: '1', platform: process.platform, mode: 'node' },
      role: 'node',
      scopes: [],
      auth: { deviceToken: token },
    },
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

function roleOf(message: Message): string {
  const auth = objectOf(objectOf(message.payload)?.auth)
  return visible(String(auth?.role ?? 'unknown role'))
}

/** The error frame says more than a close code has room for. */
function explainRefusal(message: Message, print: (line: string) => void): Partial<Ending> {
  const error = objectOf(message.error)
  const details = objectOf(error?.details)
  print(
    `Refused (${visible(String(details?.reason ?? error?.code ?? 'no code'))}): ${visible(String(error?.message ?? ''))}`,
  )
  if (typeof details?.action === 'string') print(`What to do: ${visible(details.action)}`)
  const wait = typeof error?.retryAfterMs === 'number' ? error.retryAfterMs : 0
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
      return 'the token was not accepted.'
    case 1009:
      return 'a message was too big.'
    case 1012:
      return 'the gateway is restarting.'
    case 1013:
      return 'the gateway could not check the token right now; the token was not judged.'
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
