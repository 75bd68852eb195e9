import { type IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** What is kept of an upgrade request while its socket waits. */
export interface RequestSnapshot {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: string[]
  readonly httpVersionMinor: number
}

/** Keeps the parts of a request that matter; the request itself would cost a waiting socket a third more memory. */
export function snapshotOf(request: IncomingMessage): RequestSnapshot {
  const { url = '/', headers, rawHeaders, httpVersionMinor } = request
  return { url, headers, rawHeaders, httpVersionMinor }
}

/**
 * Builds a request as the server's `upgrade` event had it. It is another object: what somebody else hung on the
 * original before acceptance is not on it.
 */
export function requestOf(snapshot: RequestSnapshot, socket: Duplex): IncomingMessage {
  const request = new IncomingMessage(socket as Socket)
  request.method = 'GET'
  request.url = snapshot.url
  request.headers = snapshot.headers
  request.rawHeaders = snapshot.rawHeaders
  request.httpVersionMajor = 1
  request.httpVersionMinor = snapshot.httpVersionMinor
  request.httpVersion = `1.${snapshot.httpVersionMinor}`
  request.complete = true
  return request
}
