import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Defer, Refused } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { Endpoint } from '../accepted/shared.ts'
import type { Bucket } from '../limits/addresses.ts'
import { type HeaderShapes, packHeaders, unpackRequest } from '../socket/request-snapshot.ts'
import type { WebSocketServerLike } from '../socket/web-socket-like.ts'
import type { SocketContext } from '../talk/handshake-context.ts'
import type { Admission } from './types.ts'

/** The facts about an upgrade that a waiting socket keeps, without its request: they never change. */
export class Arrival<P extends Principal> {
  readonly wss: WebSocketServerLike
  readonly raw: Duplex
  readonly bucket: Bucket
  readonly acquainted: boolean
  readonly endpoint: Endpoint
  /** A refusal lets it in only to be told. */
  readonly decision: Defer<P> | Refused
  /** Absent while the handshake has not got it. */
  readonly context: SocketContext<P> | undefined
  readonly url: string
  // The header lines, packed: see `ws/socket/request-snapshot.ts`. Two fields cost less than an object.
  readonly #headerNames: readonly string[]
  readonly #headerValues: string

  constructor(
    { wss, socket, request }: Admission<P>,
    decision: Defer<P> | Refused,
    endpoint: Endpoint,
    bucket: Bucket,
    acquainted: boolean,
    shapes: HeaderShapes,
    context: SocketContext<P> | undefined,
  ) {
    this.wss = wss
    this.raw = socket
    this.bucket = bucket
    this.acquainted = acquainted
    this.endpoint = endpoint
    this.decision = decision
    this.context = context
    const { url = '/' } = request
    // One string where they are the same.
    this.url = url === endpoint.path ? endpoint.path : url
    const { names, values } = packHeaders(request, shapes)
    this.#headerNames = names
    this.#headerValues = values
  }

  /** The request of the upgrade, built again for the application. */
  request(): IncomingMessage {
    return unpackRequest(this.url, { names: this.#headerNames, values: this.#headerValues }, this.raw)
  }
}
