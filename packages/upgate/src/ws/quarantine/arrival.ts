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

/** The facts about an upgrade that a waiting socket keeps: they never change. */
export interface Arrival<P extends Principal> {
  readonly wss: WebSocketServerLike
  readonly raw: Duplex
  readonly bucket: Bucket
  readonly acquainted: boolean
  readonly endpoint: Endpoint
  /** A refusal lets it in only to be told. */
  readonly decision: Defer<P> | Refused
  readonly url: string
  /** The header lines, packed: see `ws/socket/request-snapshot.ts`. */
  readonly headerNames: readonly string[]
  readonly headerValues: string
  /** Absent while the handshake has not got it. */
  readonly context: SocketContext<P> | undefined
}

/** Keeps the facts of an upgrade, without its request. */
export function arrivalOf<P extends Principal>(
  { wss, socket, request }: Admission<P>,
  decision: Defer<P> | Refused,
  endpoint: Endpoint,
  bucket: Bucket,
  acquainted: boolean,
  shapes: HeaderShapes,
  context: SocketContext<P> | undefined,
): Arrival<P> {
  const { names, values } = packHeaders(request, shapes)
  return {
    wss,
    raw: socket,
    bucket,
    acquainted,
    endpoint,
    decision,
    url: request.url ?? '/',
    headerNames: names,
    headerValues: values,
    context,
  }
}

/** The request of the upgrade, built again for the application. */
export function requestOf<P extends Principal>(arrival: Arrival<P>): IncomingMessage {
  const { url, headerNames: names, headerValues: values, raw } = arrival
  return unpackRequest(url, { names, values }, raw)
}
