import { type JsonObject, numberOf, objectOf, own, readObject, textOf } from './json.ts'

/** A server's words about its refusal, in a frame or in the body of an HTTP answer. */
export interface Said {
  /** The code in the server's own words. */
  readonly code: string
  /** One of Upgate's refusal codes, if the server is a gate. */
  readonly refusal: string | undefined
  readonly message: string | undefined
  readonly action: string | undefined
  /** Seconds. */
  readonly retryAfter: number | undefined
  readonly requestId: string | undefined
  readonly comparisonCode: string | undefined
  /** Whether the server named its time: the proof was too old or too new for it. */
  readonly serverTime: boolean
}

/** A frame in which a server announces its end. */
export interface Announced {
  /** Seconds until it expects to be back. */
  readonly retryAfter: number | undefined
}

/** The last refusal among these frames. */
export function refusalIn(frames: readonly string[]): Said | undefined {
  for (const frame of frames.toReversed()) {
    const message = readObject(frame)
    const said = message === undefined ? undefined : (ours(message) ?? response(message) ?? others(message))
    if (said !== undefined) return said
  }
  return undefined
}

/** Whether a frame says that the credential was accepted. */
export function acceptedIn(frames: readonly string[]): boolean {
  return frames.some((frame) => {
    const message = readObject(frame)
    const type = own(message, 'type')
    return (
      type === 'auth_ok' ||
      type === 'connection_ack' ||
      (type === 'res' &&
        own(message, 'ok') === true &&
        own(objectOf(own(message, 'payload')), 'type') === 'hello-ok')
    )
  })
}

/** The event `shutdown` of OpenClaw's gateways, which precedes both their restart and their end. */
export function shutdownIn(frames: readonly string[]): Announced | undefined {
  for (const frame of frames) {
    const message = readObject(frame)
    if (own(message, 'type') !== 'event' || own(message, 'event') !== 'shutdown') continue
    const wait = numberOf(own(objectOf(own(message, 'payload')), 'restartExpectedMs'))
    return { retryAfter: wait === undefined ? undefined : wait / 1000 }
  }
  return undefined
}

/** The problem document of a gate, or the error of another server. */
export function refusalInBody(body: string): Said | undefined {
  const value = readObject(body)
  if (value === undefined) return undefined
  const error = objectOf(own(value, 'error'))
  const code = textOf(own(value, 'code')) ?? textOf(own(error, 'type')) ?? textOf(own(error, 'code'))
  return code === undefined
    ? undefined
    : said(code, {
        ...(textOf(own(value, 'type'))?.startsWith('urn:problem-type:upgate:') && { refusal: code }),
        message: own(value, 'detail') ?? own(error, 'message') ?? own(value, 'message'),
        action: own(value, 'action'),
        retryAfter: own(value, 'retryAfter'),
        facts: value,
      })
}

/** `auth_error` of Upgate's minimal protocol and of `jsonFrame`. */
function ours(message: JsonObject): Said | undefined {
  const code = textOf(own(message, 'code'))
  if (own(message, 'type') !== 'auth_error' || code === undefined) return undefined
  return said(code, {
    refusal: code,
    message: own(message, 'message'),
    action: own(message, 'action'),
    retryAfter: own(message, 'retryAfter'),
    facts: objectOf(own(message, 'facts')),
  })
}

/** The negative `res` of the `connect` protocol: moltis, OpenClaw, and gates that speak it. */
function response(message: JsonObject): Said | undefined {
  if (own(message, 'type') !== 'res' || own(message, 'ok') !== false) return undefined
  const error = objectOf(own(message, 'error'))
  const details = objectOf(own(error, 'details'))
  const code = textOf(own(details, 'code')) ?? textOf(own(error, 'code'))
  if (code === undefined) return undefined
  const milliseconds = numberOf(own(details, 'retryAfterMs')) ?? numberOf(own(error, 'retryAfterMs'))
  return said(code, {
    refusal: textOf(own(details, 'reason')),
    message: own(error, 'message'),
    action: own(details, 'action') ?? own(details, 'recommendedNextStep'),
    retryAfter: milliseconds === undefined ? undefined : milliseconds / 1000,
    facts: details,
  })
}

/** Home Assistant, graphql-ws and JSON-RPC. */
function others(message: JsonObject): Said | undefined {
  const type = textOf(own(message, 'type'))
  if (type === 'auth_invalid') return said('auth_invalid', { message: own(message, 'message') })
  const error = objectOf(own(message, 'error'))
  const code = own(error, 'code')
  if (own(message, 'jsonrpc') !== '2.0' || (typeof code !== 'number' && typeof code !== 'string'))
    return undefined
  return said(String(code), { message: own(error, 'message') })
}

interface Parts {
  readonly refusal?: string | undefined
  readonly message?: unknown
  readonly action?: unknown
  readonly retryAfter?: unknown
  readonly facts?: JsonObject | undefined
}

function said(code: string, { refusal, message, action, retryAfter, facts }: Parts): Said {
  const requestId = textOf(own(facts, 'requestId'))
  const comparisonCode = textOf(own(facts, 'comparisonCode'))
  return {
    code: code.slice(0, 128),
    refusal,
    message: textOf(message),
    action: textOf(action),
    serverTime: numberOf(own(facts, 'serverTime')) !== undefined,
    retryAfter: numberOf(retryAfter),
    requestId:
      requestId !== undefined && /^[A-Za-z\d][\w.:-]{0,127}$/.test(requestId) ? requestId : undefined,
    comparisonCode:
      comparisonCode !== undefined && /^[A-Za-z\d][A-Za-z\d -]{2,15}$/.test(comparisonCode)
        ? comparisonCode
        : undefined,
  }
}
