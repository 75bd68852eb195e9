import type { IncomingMessage } from 'node:http'
import { acceptKey } from '../socket/accept-key.ts'
import { withoutSecrets } from '../socket/subprotocols.ts'
import type { WebSocketServerLike } from '../socket/web-socket-like.ts'
import type { Admission } from './types.ts'

/** A base64 value of 16 bytes (RFC 6455 section 4.1). */
const keyPattern = /^[+/0-9A-Za-z]{22}==$/

/** One subprotocol, a token of RFC 9110 section 5.6.2, or several that are parted as clients part them. */
const protocolsPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:, ?[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*$/

/** The parts of `WebSocketServer` of `ws` that could make its 101 another one. */
interface ServerOfWs extends WebSocketServerLike {
  readonly options?: {
    readonly verifyClient?: unknown
    readonly handleProtocols?: unknown
    readonly perMessageDeflate?: unknown
  }
  shouldHandle?(request: IncomingMessage): boolean
}

/** An answer to an upgrade that is written by hand. */
export interface Answer101 {
  readonly text: string
  /** The selected subprotocol; empty if there is none. */
  readonly protocol: string
}

/**
 * The 101 that the server would answer, or `undefined` where only the server itself knows: it may refuse, negotiate,
 * add headers, or be no server of `ws` at all.
 *
 * @param compression - whether the server may negotiate it
 */
export function answerByHand(
  { wss, request, head }: Admission,
  isSecretSubprotocol: (name: string) => boolean,
  compression: boolean,
): Answer101 | undefined {
  if (head.length > 0 || request.method !== 'GET' || !answersPlainly(wss, compression)) return undefined
  const { headers } = request
  const key = headers['sec-websocket-key']
  if (key === undefined || !keyPattern.test(key)) return undefined
  if (headers.upgrade?.toLowerCase() !== 'websocket' || headers['sec-websocket-version'] !== '13')
    return undefined
  const protocol = firstProtocol(headers['sec-websocket-protocol'], wss, isSecretSubprotocol)
  if (protocol === undefined || wss.shouldHandle?.(request) !== true) return undefined
  const selected = protocol === '' ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`
  const text =
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${acceptKey(key)}\r\n${selected}\r\n`
  return { text, protocol }
}

/** Whether a server is one of `ws` as it comes, and nothing was added that looks at an upgrade or changes its answer. */
function answersPlainly(wss: WebSocketServerLike, compression: boolean): wss is ServerOfWs {
  // Bun has a server of its own under the name of `ws`, which does not write to the raw socket.
  if ('bun' in process.versions) return false
  const { options } = wss as ServerOfWs
  if (options === undefined || options.verifyClient) return false
  if (compression && options.perMessageDeflate) return false
  if (wss.listenerCount === undefined || wss.listenerCount('headers') > 0) return false
  // A subclass, or a method that was replaced.
  const own = Object.getPrototypeOf(wss) as object
  return methods.every((method) => Object.hasOwn(own, method) && !Object.hasOwn(wss, method))
}

const methods = ['handleUpgrade', 'completeUpgrade', 'shouldHandle']

/** The subprotocol that `ws` selects: the first one. Empty: none; `undefined`: the server has to say. */
function firstProtocol(
  offered: string | undefined,
  wss: ServerOfWs,
  isSecretSubprotocol: (name: string) => boolean,
): string | undefined {
  const names = offered === undefined ? undefined : withoutSecrets(offered, isSecretSubprotocol)
  if (names === undefined) return ''
  if (wss.options?.handleProtocols || !protocolsPattern.test(names)) return undefined
  const list = names.split(/, ?/)
  return new Set(list).size === list.length ? list[0] : undefined
}
