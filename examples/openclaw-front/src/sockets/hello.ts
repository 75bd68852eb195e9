import { isObject, type Json, parseObject } from './json.ts'
import type { Tap } from './relay.ts'

/** Longest answer to a `connect` request that is read, in bytes. */
const longestAnswer = 1024 * 1024

export interface HelloWatch {
  /** Called once, when the gateway has accepted or refused the socket. */
  onAnswer?(accepted: boolean): void
  /** The id of the `connect` request, if it is known. */
  readonly id?: string
  /** Changes the answer on its way; `undefined` leaves it. */
  change?(answer: Json): string | undefined
}

/**
 * Watches for the gateway's answer to the `connect` request, the first message that is no event. Until then the gateway
 * counts the socket among those that it has not accepted.
 */
export function watchForHello({ onAnswer, id, change }: HelloWatch): Tap {
  let done = false
  return {
    get done() {
      return done
    },
    fromUpstream(data, isBinary) {
      if (isBinary || data.length > longestAnswer) return undefined
      const message = parseObject(data.toString('utf8'))
      if (message === undefined || message.type === 'event') return undefined
      if (id !== undefined && (message.type !== 'res' || message.id !== id)) return undefined
      done = true
      onAnswer?.(message.ok === true)
      return change?.(message)
    },
  }
}

/**
 * The gateway's answer to the front, as the node gets it: without the device tokens, which belong to the front's key, and
 * with the role and the token of the front.
 */
export function helloForNode(
  answer: Json,
  issued: Json | undefined,
  role: string,
): { readonly frame: string; readonly accepted: boolean } {
  const payload = isObject(answer.payload) ? answer.payload : {}
  if (answer.ok === true) {
    const auth = { role, scopes: [], ...issued }
    return { frame: JSON.stringify({ ...answer, payload: { ...payload, auth } }), accepted: true }
  }
  return {
    frame: JSON.stringify({ ...answer, payload: undefined, error: errorForNode(answer.error) }),
    accepted: false,
  }
}

/**
 * A refusal of the front by the gateway is no refusal of the node: in the gateway's words, the node would drop its token
 * or stop for good. Only a protocol version concerns the node, and a pairing, which a person at the gateway approves.
 */
function errorForNode(error: unknown): Json {
  const given = isObject(error) ? error : {}
  const details = isObject(given.details) ? given.details : {}
  if (details.code === 'PROTOCOL_MISMATCH') return given
  if (details.code === 'PAIRING_REQUIRED' && typeof details.requestId === 'string') {
    return {
      code: 'NOT_PAIRED',
      message: 'The gateway has to approve this node.',
      details: { code: 'PAIRING_REQUIRED', requestId: details.requestId, pauseReconnect: false },
      retryable: true,
    }
  }
  return unavailable('The gateway did not take the node that the front brought.')
}

/** An error that brings the node back. */
export function unavailable(message: string): Json {
  return {
    code: 'UNAVAILABLE',
    message,
    details: { code: 'UNAVAILABLE', reason: 'upstream_unavailable', recommendedNextStep: 'wait_then_retry' },
    retryable: true,
    retryAfterMs: 2000,
  }
}
