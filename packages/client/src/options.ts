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

const known: ReadonlySet<string> = new Set<keyof ConnectOptions>([
  'credential',
  'edge',
  'headers',
  'handshake',
  'protocols',
  'timeout',
  'signal',
  'reconnect',
  'keepAlive',
  'dangerouslySendCredentialsOverPlain',
  'transport',
  'docs',
  'clock',
  'random',
])

/** @throws TypeError that names the option and the remedy; values are not quoted, because they may be secrets. */
export function checkOptions(
  options: ConnectOptions,
  transport: Transport,
  handshake: ClientHandshake,
  takesUserTokens: boolean,
): void {
  for (const name of Object.keys(options)) {
    if (!known.has(name))
      throw new TypeError(`connect: unknown option \`${name}\`; the options are ${[...known].join(', ')}.`)
  }
  const { credential, edge, headers = {}, protocols = [], reconnect, signal } = options
  milliseconds('timeout', options.timeout ?? 15_000, 1)
  milliseconds('keepAlive', options.keepAlive ?? 45_000, 0)
  if (typeof reconnect === 'object') {
    const { min = 1000, max = 30_000, stableAfter = 30_000 } = reconnect
    milliseconds('reconnect.min', min, 1)
    milliseconds('reconnect.max', max, 1)
    milliseconds('reconnect.stableAfter', stableAfter, 0)
    if (max < min) throw new TypeError('connect: `reconnect.max` must not be smaller than `reconnect.min`.')
  } else if (reconnect !== undefined && typeof reconnect !== 'boolean') {
    throw new TypeError('connect: `reconnect` must be true, false, or { min, max, stableAfter }.')
  }
  const { dangerouslySendCredentialsOverPlain: plain = false } = options
  if (typeof plain !== 'boolean') {
    throw new TypeError('connect: `dangerouslySendCredentialsOverPlain` must be true or false.')
  }
  if (edge !== undefined && typeof edge !== 'function') {
    checkEdge(edge)
    if (isUserToken(edge) && !takesUserTokens)
      throw new TypeError('connect: `edge.userToken` needs the entry @upgate/client.')
  }
  checkHeaders(headers)
  if (!transport.sendsHeaders) {
    const name = edge !== undefined ? 'edge' : Object.keys(headers).length > 0 ? 'headers' : undefined
    if (name !== undefined || handshake.needsHeaders === true) {
      throw new TypeError(
        `connect: browsers send no headers with a WebSocket. Leave out \`${name ?? 'handshake'}\`; use the first frame, a ticket or a subprotocol, and log in to the edge with its cookie.`,
      )
    }
  }
  if (
    !Array.isArray(protocols) ||
    !protocols.every((each) => typeof each === 'string' && /^[!#$%&'*+\-.^_`|~\w]{1,256}$/.test(each))
  ) {
    throw new TypeError("connect: `protocols` must be a list of names, such as ['chat.v1'].")
  }
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw new TypeError('connect: `signal` must be an AbortSignal.')
  }
  if (typeof handshake?.kindOf !== 'function') {
    throw new TypeError('connect: `handshake` must come from a function such as upgateHandshake().')
  }
  if (credential !== undefined && typeof credential !== 'function') checkCredential(credential)
}

function milliseconds(name: string, value: unknown, least: number): void {
  if (typeof value !== 'number' || !(value >= least && value <= 2 ** 31 - 1)) {
    throw new TypeError(`connect: \`${name}\` must be a number of milliseconds, at least ${least}.`)
  }
}

function checkHeaders(headers: unknown): void {
  const fields = Object.entries((headers ?? {}) as Record<string, unknown>)
  for (const [name, value] of fields) {
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
  const fields =
    typeof credential === 'string' ? { token: credential } : ((credential ?? {}) as Record<string, unknown>)
  const names = ['token', 'password', 'device', 'claim'].filter((name) => fields[name] !== undefined)
  const texts = ['token', 'password', 'claim', 'code', 'name', 'account'].every(
    (name) => fields[name] === undefined || (typeof fields[name] === 'string' && fields[name] !== ''),
  )
  if (names.length === 0 || !texts) {
    throw new TypeError(
      'connect: `credential` must be a token, { token }, { password }, { device } or { claim }, or a function that returns one.',
    )
  }
}
