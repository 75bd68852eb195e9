import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { isPromiseLike } from '../core/async/maybe-promise.ts'
import type { LiveConnection } from '../core/contract/connections.ts'
import type { Gate } from '../core/contract/gate.ts'
import type { Principal } from '../core/contract/principal.ts'
import { assertGate } from '../core/options/check-gate.ts'
import { wrongArgument } from '../core/options/check-options.ts'
import { fn, optional } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { RevocationReason } from '../core/ports/revocations.ts'
import { pathOf } from '../core/request/target.ts'

/** Why a streamed response is ended. */
export type StreamEndReason = RevocationReason | 'shutdown'

/** Options of {@link endWithCredential}. */
export interface EndWithCredentialOptions {
  /**
   * Called in place of cutting the response off, to say why as far as it can still say anything: an error event, or
   * a status where nothing is sent yet. An unended response is then cut off, and an ended one when it was not read within a
   * second.
   */
  readonly onEnd?: (reason: StreamEndReason) => void
}

/** The parts of a gate that registering responses needs. */
export type StreamGate = Pick<Gate, 'decisionOf' | 'connections' | 'clock' | 'logger'>

/** Milliseconds within which the client has to read the last bytes. */
const lastWordsGrace = 1_000

/** Shared by all copies of the library. */
const streams: unique symbol = Symbol.for('upgate.streams') as never

class LiveResponse implements LiveConnection {
  readonly [streams] = true
  readonly id: string = randomUUID()
  readonly acceptedAt: number
  readonly path: string
  readonly principal: Principal
  readonly mute?: () => void
  readonly #gate: StreamGate
  readonly #response: ServerResponse
  readonly #onEnd: EndWithCredentialOptions['onEnd']
  #ended = false

  constructor(
    gate: StreamGate,
    principal: Principal,
    request: IncomingMessage,
    response: ServerResponse,
    onEnd: EndWithCredentialOptions['onEnd'],
  ) {
    this.acceptedAt = gate.clock.now()
    this.path = pathOf((request as { originalUrl?: string }).originalUrl ?? request.url ?? '')
    this.principal = principal
    this.#gate = gate
    this.#response = response
    this.#onEnd = onEnd
    // Without last words it may be cut off a little later, as long as nothing more goes out until then.
    if (onEnd === undefined) this.mute = () => silence(response)
  }

  close(reason: StreamEndReason): void {
    if (this.#ended) return
    this.#ended = true
    const response = this.#response
    // A complete response is still going out, and can be given no other end.
    if (this.#onEnd !== undefined && !response.writableEnded) this.#say(this.#onEnd, reason)
    else this.#cut()
  }

  #say(onEnd: (reason: StreamEndReason) => void, reason: StreamEndReason): void {
    const { clock, logger } = this.#gate
    const failed = (error: unknown): void => {
      logger.error('`onEnd` of a streamed response threw: it is cut off.', { error })
      this.#cut()
    }
    const watch = watchEnd(this.#response)
    try {
      // One that is asynchronous fits the type as well, and its rejection would end the process.
      const done: unknown = onEnd(reason)
      if (isPromiseLike(done)) done.then(undefined, failed)
    } catch (error) {
      failed(error)
    }
    // A compressing `end` was called, and writes its last bytes later.
    const ending = watch.stop()
    if (!this.#response.writableEnded && !ending) this.#cut()
    if (this.#response.destroyed) return
    const timer = clock.setTimer(lastWordsGrace, () => this.#cut())
    this.#response.once('close', () => timer.cancel())
  }

  #cut(): void {
    cut(this.#response)
  }
}

/** Notes whether `end` of a response is called, also where a middleware (compression) has replaced it. */
function watchEnd(response: ServerResponse): { stop(): boolean } {
  const own = Object.getOwnPropertyDescriptor(response, 'end')
  const { end } = response
  let called = false
  response.end = function (this: ServerResponse, ...values: unknown[]) {
    called = true
    return Reflect.apply(end, this, values)
  } as typeof end
  return {
    stop() {
      if (own === undefined) delete (response as { end?: unknown }).end
      else Object.defineProperty(response, 'end', own)
      return called
    },
  }
}

/** No proper end: its reader must not take it for whole (RFC 9112 section 8). */
function cut(response: ServerResponse): void {
  // Behind another response of its connection it would still be sent when its turn comes (Node 24).
  if (response.socket === null) response.once('socket', (socket: Duplex) => socket.destroy())
  response.destroy()
}

/** Nothing more goes out, and the connection goes with the response, however that comes to its end. */
function silence(response: ServerResponse): void {
  const { socket } = response
  if (socket === null) {
    cut(response)
    return
  }
  socket.cork()
  // Ending a response uncorks, however often it was corked.
  socket.uncork = () => {}
  response.once('close', () => socket.destroy())
}

const endWithCredentialOptions = optionTable<EndWithCredentialOptions>()({ onEnd: optional(fn()) })

/**
 * Ends a streamed response (events, a long download, a proxied answer) with the credential of its request: revocation and
 * expiry cut it off, as they close sockets, so that its reader sees it broken and never merely shorter.
 *
 * Call it before the first byte. It leaves the register of live connections by itself when the response closes. Where
 * the request has no principal, on public paths, there is nothing to do.
 *
 * @param gate - the gate that let the request in
 * @param request - Node's own, as the gate decided it: of Express `req`, of Koa `ctx.req`
 * @param response - Node's own: of Express `res`, of Koa `ctx.res`
 * @param options - `onEnd` says why, where the response can still carry it
 * @returns whether there is a response left to write: false where the credential was revoked since the decision, has
 *   expired, or the client has left
 * @throws TypeError for an unknown option, and for a request that this gate has not let in
 * @example
 * app.get('/events', (request, response) => {
 *   if (!endWithCredential(gate, request, response)) return
 *   response.writeHead(200, { 'content-type': 'text/event-stream' })
 *   response.write('data: hello\n\n')
 * })
 */
export function endWithCredential(
  gate: StreamGate,
  request: IncomingMessage,
  response: ServerResponse,
  options: EndWithCredentialOptions = {},
): boolean {
  assertGate(gate, 'endWithCredential', ['decisionOf'])
  const { onEnd } = endWithCredentialOptions.read('endWithCredential', options)
  const isObject = typeof request === 'object' && request !== null
  const decision = isObject ? gate.decisionOf(request) : undefined
  if (decision?.outcome !== 'allow') {
    throw new TypeError(
      'endWithCredential: this gate has not let the request in; give it the gate that guards the route, and `ctx.req` of Koa.',
    )
  }
  if (typeof response?.once !== 'function') {
    throw wrongArgument('endWithCredential', 'third', "Node's own response (of Koa `ctx.res`)", response)
  }
  if (response.destroyed || response.writableFinished) return false
  const { principal, asOf } = decision
  if (principal === undefined) return true
  const live = new LiveResponse(gate, principal, request, response, onEnd)
  const registration = gate.connections.register(live, asOf)
  if (registration.outcome === 'refused') live.close(registration.reason)
  else response.once('close', registration.remove)
  return !response.destroyed && !response.writableEnded
}

/**
 * Ends all streamed responses that {@link endWithCredential} registered with a gate, for a shutdown: `server.close()`
 * waits for them, and nothing else does.
 *
 * @param gate - the gate that the responses were registered with
 * @returns how many that were
 * @throws TypeError where the argument is no gate
 * @example
 * server.close()
 * setTimeout(() => endStreams(gate), 10_000) // those that have not come to their end by then
 */
export function endStreams(gate: Pick<Gate, 'connections'>): number {
  if (typeof gate?.connections?.list !== 'function') {
    throw wrongArgument('endStreams', 'first', 'a gate (createGate)', gate)
  }
  const live = [...gate.connections.list()].filter((connection) => streams in connection) as LiveResponse[]
  for (const response of live) response.close('shutdown')
  return live.length
}
