import type { AuthRequest, Clock, Gate, GateOptions, Logger, Principal, Scheme, Verification } from 'upgate'
import { createGate } from 'upgate'
import type { Handshake } from 'upgate/ws'

/** A principal with only what a test cares about. */
export function person(id: string, extra: Partial<Principal> = {}): Principal {
  return Object.freeze({
    kind: 'user',
    id,
    scheme: 'key',
    credentialId: `${id}-1`,
    scopes: [],
    roles: [],
    attributes: {},
    ...extra,
  })
}

/** What a table-driven scheme answers for a value; a function may answer late or throw. */
export type Answers = Record<
  string,
  | Principal
  | Extract<Verification, { outcome: 'rejected' | 'unavailable' | 'throttled' }>
  | (() => Principal | Verification | Promise<Verification>)
>

function answer(answers: Answers, value: string): Verification | Promise<Verification> {
  const found = Object.hasOwn(answers, value) ? answers[value] : undefined
  if (found === undefined) return { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
  const result = typeof found === 'function' ? found() : found
  return 'outcome' in result || result instanceof Promise
    ? result
    : { outcome: 'authenticated', principal: result }
}

/** Claims `Authorization: Bearer k_...`, `X-Api-Key` and in-band tokens that start with `k_`. */
export function keyScheme(answers: Answers, extra: Partial<Scheme> = {}): Scheme {
  return {
    name: 'key',
    ambient: false,
    challenge: 'Bearer',
    headers: ['x-api-key'],
    extract(request) {
      const bearer = /^Bearer (k_.*)$/i.exec(String(request.headers.authorization ?? ''))?.[1]
      if (bearer !== undefined) {
        return { location: 'authorization', credential: { type: 'token', source: 'header', value: bearer } }
      }
      const key = request.headers['x-api-key']
      if (typeof key === 'string' && key.startsWith('k_')) {
        return { location: 'x-api-key', credential: { type: 'token', source: 'header', value: key } }
      }
      return undefined
    },
    claims: (credential) => credential.type === 'token' && credential.value.startsWith('k_'),
    verify: (credential) => answer(answers, credential.type === 'token' ? credential.value : ''),
    ...extra,
  }
}

/** Claims the cookie `sid`. */
export function cookieScheme(answers: Answers, extra: Partial<Scheme> = {}): Scheme {
  return {
    name: 'cookie',
    ambient: true,
    extract(request) {
      const value = /(?:^|; )sid=([^;]*)/.exec(String(request.headers.cookie ?? ''))?.[1]
      if (value === undefined) return undefined
      return { location: 'cookie sid', credential: { type: 'token', source: 'cookie', value } }
    },
    clearCookie: () => 'sid=; Max-Age=0; Path=/',
    verify: (credential) => answer(answers, credential.type === 'token' ? credential.value : ''),
    ...extra,
  }
}

/** A handshake that these tests never reach. */
export const handshake: Handshake = {
  name: 'test',
  receive: () => ({ step: 'ignore' }),
  accept: () => [],
  reject: () => ({ frames: [], closeCode: 4401, closeReason: '' }),
}

export const silent: Logger = { warn() {}, error() {} }

export const fixedClock: Clock = { now: () => 1_000_000, setTimer: () => ({ cancel() {} }) }

export const origin = 'https://gateway.example.com'

/** A gate with a key and a cookie scheme; `u` is a plain user with either. */
export function makeGate(options: Partial<GateOptions> = {}): Gate {
  return createGate({
    origins: [origin],
    logger: silent,
    clock: fixedClock,
    schemes: [
      cookieScheme({ u: person('u', { scheme: 'cookie' }) }),
      keyScheme({
        k_u: person('u'),
        k_admin: person('admin', { scopes: ['operator.admin'], roles: ['admin'] }),
        k_device: person('node-1', { kind: 'device', roles: ['node'], scopes: ['a', 'b'] }),
      }),
    ],
    ...options,
  })
}

/** A request as an adapter would build it: headers joined as Node joins them, and the raw list. */
export function request(
  target: string,
  options: {
    method?: string
    kind?: 'http' | 'upgrade'
    headers?: Record<string, string>
    rawHeaders?: string[]
    rewrittenTarget?: string
    peerAddress?: string
  } = {},
): AuthRequest {
  const headers: Record<string, string> = { host: 'gateway.example.com', ...options.headers }
  return {
    kind: options.kind ?? 'http',
    method: options.method ?? 'GET',
    target,
    rewrittenTarget: options.rewrittenTarget,
    headers,
    rawHeaders: options.rawHeaders ?? Object.entries(headers).flat(),
    peerAddress: options.peerAddress ?? '203.0.113.7',
    encrypted: false,
  }
}

/** A well-formed WebSocket handshake. */
export function upgrade(target: string, headers: Record<string, string> = {}): AuthRequest {
  return request(target, {
    kind: 'upgrade',
    headers: {
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    },
  })
}

/** Outcome and code, the way tests compare them: `allow`, `challenge auth_required`. */
export async function verdict(gate: Pick<Gate, 'decide'>, req: AuthRequest): Promise<string> {
  const decision = await gate.decide(req)
  return 'code' in decision ? `${decision.outcome} ${decision.code}` : decision.outcome
}
