import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto'
import type { AuthRequest, Credential, Verification } from 'upgate'
import {
  type CloudflareAccessOptions,
  type CloudflareAccessScheme,
  cloudflareAccess,
} from 'upgate/cloudflare-access'
import { type ManualClock, manualClock } from 'upgate/testing'
import fixedKeys from './test-keys.json' with { type: 'json' }

export const issuer = 'https://acme.cloudflareaccess.com'
export const aud = '32eafc7626e737a3ab93eb5ebd5a4ff5d8ae3e4b0ea4d0ddbba1fd3f3c6bd9b7'
export const otherAud = 'b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184'

export interface TestKey {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly jwk: Record<string, unknown>
}

const made = new Map<string, TestKey>()

/** A key of that id; the same one on every call. Keys in the file are the same in every run. */
export function keyOf(name: string, modulusLength = 2_048): TestKey {
  let key = made.get(name)
  if (key === undefined) {
    key = makeKey(name, modulusLength)
    made.set(name, key)
  }
  return key
}

function makeKey(name: string, modulusLength: number): TestKey {
  const kid = name === '__proto__' ? name : Buffer.from(name.padEnd(32, '.')).toString('hex')
  const fixed = Object.hasOwn(fixedKeys, name) ? (fixedKeys as Record<string, JsonWebKey>)[name] : undefined
  const privateKey =
    fixed === undefined ? generate(modulusLength) : createPrivateKey({ key: fixed, format: 'jwk' })
  const { kty, n, e } = fixed ?? privateKey.export({ format: 'jwk' })
  return {
    kid,
    privateKey,
    publicKey: createPublicKey(privateKey),
    jwk: { kty, n, e, kid, alg: 'RS256', use: 'sig' },
  }
}

/** Through PEM: Node 20 can lock up if a key just generated is exported as JWK while its job is collected. */
function generate(modulusLength: number): KeyObject {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return createPrivateKey(privateKey)
}

export function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

/** A token as Access issues it, or as an attacker would: header and claims are used unchanged. */
export function signToken(claims: unknown, key: TestKey, header: Record<string, unknown> = {}): string {
  const input = `${encode({ alg: 'RS256', kid: key.kid, typ: 'JWT', ...header })}.${encode(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), key.privateKey).toString('base64url')}`
}

export interface Team {
  readonly clock: ManualClock
  readonly scheme: CloudflareAccessScheme
  readonly warnings: string[]
  /** URLs fetched so far. */
  readonly fetched: string[]
  readonly inits: RequestInit[]
  /** Replaces the answer of the certs endpoint: keys, or a function. */
  serve(answer: readonly TestKey[] | (() => Promise<Response> | Response)): void
  now(): number
  user(claims?: Record<string, unknown>, key?: TestKey): string
  service(claims?: Record<string, unknown>, key?: TestKey): string
  /** A user token under another key id, which its signature does not match. */
  withKid(kid: string): string
  verify(token: string, headers?: Record<string, string | string[]>): Promise<Verification>
  /** Without a request around it. */
  verifyToken(token: string): Promise<Verification>
  /**
   * For tokens that were seen before, or that are refused without a signature: the answer is not a promise.
   */
  verifyNow(token: string): Verification
  ask(
    headers: Record<string, string | string[]>,
    kind?: 'http' | 'upgrade',
  ): Promise<Verification | undefined>
}

export const context = { clientAddress: undefined, dryRun: false, path: '/', origin: undefined }
export const current = keyOf('current')
export const previous = keyOf('previous')

export function requestOf(
  headers: Record<string, string | string[]>,
  kind: 'http' | 'upgrade' = 'http',
  peerAddress?: string,
): AuthRequest {
  const rawHeaders = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().flatMap((v) => [name, v]),
  )
  return {
    kind,
    method: 'GET',
    target: '/',
    headers: { host: 'gateway.example.com', ...headers },
    rawHeaders: ['host', 'gateway.example.com', ...rawHeaders],
    encrypted: true,
    peerAddress,
  }
}

export function jwks(...keys: readonly TestKey[]): Response {
  // The current key comes second, as it may at the real endpoint.
  return Response.json({ keys: keys.map(({ jwk }) => jwk), public_cert: {}, public_certs: [] })
}

/** A team with two keys, and the scheme that trusts it. */
export function team(options: Partial<CloudflareAccessOptions> = {}): Team {
  const clock = manualClock()
  const warnings: string[] = []
  const fetched: string[] = []
  const inits: RequestInit[] = []
  let certs: () => Promise<Response> | Response = () => jwks(previous, current)
  const log = (message: string, fields?: object) =>
    void warnings.push(`${message} ${JSON.stringify(fields ?? {})}`)
  const scheme = cloudflareAccess({
    ...(options.issuer === undefined ? { team: 'acme' } : {}),
    audience: [aud],
    clock,
    fetch: async (url, init) => {
      fetched.push(url)
      inits.push(init)
      return certs()
    },
    logger: { warn: log, error: log },
    ...options,
  })
  const seconds = () => Math.floor(clock.now() / 1_000)
  const base = () => ({ iss: options.issuer ?? issuer, type: 'app', iat: seconds(), exp: seconds() + 86_400 })
  const self: Team = {
    clock,
    scheme,
    warnings,
    fetched,
    inits,
    serve(answer) {
      certs = typeof answer === 'function' ? answer : () => jwks(...answer)
    },
    now: seconds,
    user: (claims = {}, key = current) =>
      signToken(
        {
          aud: [aud],
          email: 'ada@example.com',
          nbf: seconds(),
          identity_nonce: 'n0nce',
          sub: '7335d417-61da-459d-899c-0a01c76a2f94',
          country: 'GB',
          ...base(),
          ...claims,
        },
        key,
      ),
    service: (claims = {}, key = current) =>
      signToken(
        { aud, common_name: 'e367826f93b8d71185e03fe518aff3b4.access', sub: '', ...base(), ...claims },
        key,
      ),
    withKid(kid) {
      // Written by hand: `__proto__` in an object literal would set the prototype.
      const header = `{"alg":"RS256","kid":${JSON.stringify(kid)},"typ":"JWT"}`
      return self.user().replace(/^[^.]+/, () => encode(header))
    },
    async verify(token, headers = {}) {
      const answer = await self.ask({ 'cf-access-jwt-assertion': token, ...headers })
      if (answer === undefined) throw new Error('nothing was extracted')
      return answer
    },
    async verifyToken(token) {
      return scheme.verify({ type: 'token', source: 'edge', value: token }, context)
    },
    verifyNow(token) {
      const credential: Credential = { type: 'token', source: 'edge', value: token }
      const answer = scheme.verify(credential, context)
      if (isPromiseLike(answer)) throw new Error('the answer is a promise')
      return answer
    },
    async ask(headers, kind = 'http') {
      const found = scheme.extract?.(requestOf(headers, kind))
      return found === undefined ? undefined : scheme.verify(found.credential, context)
    },
  }
  return self
}

function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T>).then === 'function'
}

/** Waits for work on other threads: turns the event loop until the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

/** Refusal code or outcome, in one word, for tables of cases. */
export function wordOf(answer: Verification | undefined): string {
  if (answer === undefined) return 'absent'
  return answer.outcome === 'rejected' ? answer.code : answer.outcome
}
