import {
  type Check,
  callable,
  checkAll,
  flag,
  hasMethods,
  isCallable,
  isPlain,
  milliseconds,
  text,
  texts,
} from './check.ts'
import type { Clock } from './clock.ts'
import type { CredentialSource } from './credential.ts'
import { checkEdge, type EdgeSource, isUserToken } from './edge.ts'
import type { ClientHandshake } from './handshake.ts'
import type { Transport } from './transport.ts'

/** How a connection is kept. */
export interface ReconnectOptions {
  /** The shortest pause, in milliseconds. Default: 1,000. */
  readonly min?: number
  /** The longest pause that the client chooses itself, in milliseconds. Default: 30,000. */
  readonly max?: number
  /** Milliseconds of acceptance after which the pauses start from the shortest again. Default: 30,000. */
  readonly stableAfter?: number
}

/** Options of `connect`. */
export interface ConnectOptions {
  /** For the gate. A function is asked before each attempt, after a refusal, and for a renewal. Default: none. */
  readonly credential?: CredentialSource
  /** For Cloudflare Access in front of the gate. Sent over `wss` or to loopback only. */
  readonly edge?: EdgeSource
  /**
   * Further headers of the upgrade. They count as secrets, except `User-Agent`, `Origin`, `Accept`, `Accept-Language` and
   * `Cache-Control`.
   */
  readonly headers?: Readonly<Record<string, string>>
  /** Default: `upgateHandshake()`. */
  readonly handshake?: ClientHandshake
  /** Subprotocols to offer. Default: none. */
  readonly protocols?: readonly string[]
  /** Milliseconds for an attempt, from the look-up of the name to the acceptance. Default: 15,000. */
  readonly timeout?: number
  /** Ends the connection for good. */
  readonly signal?: AbortSignal
  /** Whether and how to connect again. Default: true. */
  readonly reconnect?: boolean | ReconnectOptions
  /** Milliseconds between pings, below the idle limits of proxies and edges; 0 sends none. Default: 45,000. */
  readonly keepAlive?: number
  /**
   * Sends tokens, passwords, pairing codes and headers also over `ws://` to other computers, where every computer on the way
   * can read and reuse them: for a private network whose gateway has no TLS. The secrets of an edge stay out.
   * Default: false, which refuses them with `credential_over_plain`.
   */
  readonly dangerouslySendCredentialsOverPlain?: boolean
  /** How sockets are opened. Default: that of the entry. */
  readonly transport?: Transport
  /** The place of the diagnoses' pages, for `link`. */
  readonly docs?: string
  /** Default: the system's. */
  readonly clock?: Clock
  /** At least 0, less than 1. Default: `Math.random`: it spreads attempts, and protects nothing. */
  readonly random?: () => number
}

const checks: { readonly [Name in keyof ConnectOptions]-?: Check } = {
  credential: {
    is: (value) => isCallable(value) || isCredential(value),
    expected: 'a token, { token }, { password }, { device } or { claim }, or a function that returns one',
  },
  edge: {
    is(value) {
      // It throws itself, with a message for each of its values.
      if (!isCallable(value)) checkEdge(value)
      return true
    },
    expected: '{ clientId, clientSecret }, { userToken }, or a function that returns one',
  },
  headers: { is: isPlain, expected: 'an object of header names and values' },
  handshake: {
    is: (value) => hasMethods(value, 'kindOf'),
    expected: 'what a function such as upgateHandshake() returns',
  },
  protocols: texts("a list of names, such as ['chat.v1']", /^[!#$%&'*+\-.^_`|~\w]{1,256}$/),
  timeout: milliseconds(1),
  signal: { is: (value) => hasMethods(value, 'addEventListener'), expected: 'an AbortSignal' },
  reconnect: {
    is: (value) => typeof value === 'boolean' || isPlain(value),
    expected: 'true, false, or { min, max, stableAfter }',
  },
  keepAlive: milliseconds(0),
  dangerouslySendCredentialsOverPlain: flag,
  transport: {
    is: (value) => hasMethods(value, 'open') && typeof (value as Transport).sendsHeaders === 'boolean',
    expected:
      'what wsTransport() or browserTransport() returns, or another object with `sendsHeaders` and `open`',
  },
  docs: text('the place of the pages, with a slash at the end', /^$|\/$/),
  clock: {
    is: (value) => hasMethods(value, 'now', 'setTimer'),
    expected: 'an object with the methods `now` and `setTimer`',
  },
  random: callable,
}

const reconnectChecks: { readonly [Name in keyof ReconnectOptions]-?: Check } = {
  min: milliseconds(1),
  max: milliseconds(1),
  stableAfter: milliseconds(0),
}

/** @throws TypeError that names the option and the remedy; values are not quoted, because they may be secrets. */
export function checkOptions(options: ConnectOptions): void {
  checkAll('connect', options, checks)
  checkHeaders(options.headers ?? {})
  if (typeof options.reconnect !== 'object') return
  checkAll('connect', options.reconnect, reconnectChecks, 'reconnect')
  const { min = 1000, max = 30_000 } = options.reconnect
  if (max < min) throw new TypeError('connect: `reconnect.max` must not be smaller than `reconnect.min`.')
}

/** @throws TypeError for options that this transport cannot do. */
export function checkAbilities(
  { edge, headers = {} }: ConnectOptions,
  transport: Transport,
  handshake: ClientHandshake,
  takesUserTokens: boolean,
): void {
  if (!transport.sendsHeaders) {
    const name = edge !== undefined ? 'edge' : Object.keys(headers).length > 0 ? 'headers' : undefined
    if (name !== undefined || handshake.needsHeaders === true) {
      throw new TypeError(
        `connect: browsers send no headers with a WebSocket. Leave out \`${name ?? 'handshake'}\`; use the first frame, a ticket or a subprotocol, and log in to the edge with its cookie.`,
      )
    }
  }
  if (typeof edge === 'object' && isUserToken(edge) && !takesUserTokens) {
    throw new TypeError('connect: `edge.userToken` needs the entry @upgate/client.')
  }
}

function checkHeaders(headers: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[!#$%&'*+\-.^_`|~\w]{1,128}$/.test(name))
      throw new TypeError('connect: `headers` has a name that is no header name.')
    // RFC 9110 section 5.5. The runtime's own exception would quote the value.
    if (typeof value !== 'string' || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new TypeError(`connect: the value of \`headers\` for ${name} must be text without line breaks.`)
    }
    if (/^(?:host|connection|upgrade|content-length|transfer-encoding|sec-websocket-.*)$/i.test(name)) {
      throw new TypeError(`connect: \`headers\` must not contain ${name}; it belongs to the handshake.`)
    }
  }
}

/** @throws TypeError for anything that is no credential; it is not quoted. */
export function checkCredential(credential: unknown): void {
  if (isCredential(credential)) return
  throw new TypeError(`connect: \`credential\` must be ${checks.credential.expected}.`)
}

function isCredential(credential: unknown): boolean {
  const fields = typeof credential === 'string' ? { token: credential } : credential
  if (typeof fields !== 'object' || fields === null) return false
  const given = fields as Readonly<Record<string, unknown>>
  const { device } = given
  return (
    ['token', 'password', 'device', 'claim'].some((name) => given[name] !== undefined) &&
    ['token', 'password', 'claim', 'code', 'name', 'account'].every(
      (name) => given[name] === undefined || (typeof given[name] === 'string' && given[name] !== ''),
    ) &&
    (device === undefined || (hasMethods(device, 'sign') && hasTexts(device, 'publicKey', 'id')))
  )
}

function hasTexts(value: unknown, ...names: readonly string[]): boolean {
  return names.every((name) => typeof (value as Readonly<Record<string, unknown>>)[name] === 'string')
}
