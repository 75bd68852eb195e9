import type { Credential, MaybePromise, Principal, Scheme, Verification } from 'upgate'

/** Credentials for the contract: one secret of each kind, and a store that can fail. */
export interface Credentials {
  readonly schemes: readonly Scheme[]
  /** A `Cookie` header. */
  readonly cookie: string
  readonly badCookie: string
  readonly key: string
  readonly keyWithScope: string
  readonly device: string
  /** `true`: verification answers by a promise, as with a store. */
  slow: boolean
  /** If set, verifications wait in this list instead of answering. */
  held: (() => void)[] | undefined
  /** `true`: the store cannot answer. */
  down: boolean
  /** `true`: there is no account yet. */
  empty: boolean
}

const bearer = /^Bearer ([!-~]+)$/i

function principal(
  kind: Principal['kind'],
  id: string,
  scheme: string,
  scopes: readonly string[],
): Principal {
  return Object.freeze({ kind, id, scheme, scopes, roles: [], credentialId: id, attributes: {} })
}

/** Small schemes over a table in memory: the contract tests the gate around them. */
export function createCredentials(): Credentials {
  const table = new Map<string, Principal>([
    ['session-of-alice', principal('user', 'alice', 'cookie', [])],
    ['key_plain', principal('service', 'ci', 'key', [])],
    ['key_admin', principal('service', 'ops', 'key', ['admin'])],
    ['device_one', principal('device', 'node-1', 'device', [])],
  ])
  const state = { slow: false, held: undefined as (() => void)[] | undefined, down: false, empty: false }

  function verify(credential: Credential): MaybePromise<Verification> {
    const found = table.get(String(credential.value))
    const answer: Verification = state.down
      ? { outcome: 'unavailable', reason: 'the table is away', retryAfter: 7 }
      : found === undefined
        ? { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
        : { outcome: 'authenticated', principal: found }
    const { held } = state
    if (held !== undefined) return new Promise((resolve) => void held.push(() => resolve(answer)))
    return state.slow ? new Promise((resolve) => setImmediate(resolve, answer)) : answer
  }

  function headerScheme(name: string, prefix: string): Scheme {
    return {
      name,
      ambient: false,
      challenge: 'Bearer',
      extract(request) {
        const value = bearer.exec(String(request.headers.authorization ?? ''))?.[1]
        if (value === undefined || !value.startsWith(prefix)) return undefined
        return { credential: { type: 'token', source: 'header', value }, location: 'authorization' }
      },
      claims: (credential) => credential.type === 'token' && credential.value.startsWith(prefix),
      verify,
    }
  }

  const cookieScheme: Scheme = {
    name: 'cookie',
    ambient: true,
    clearCookie: () => 'sid=; Path=/; Max-Age=0; HttpOnly',
    extract(request) {
      const value = /(?:^|; )sid=([^;]+)/.exec(String(request.headers.cookie ?? ''))?.[1]
      if (value === undefined) return undefined
      return { credential: { type: 'token', source: 'cookie', value }, location: 'cookie sid' }
    },
    verify,
  }

  return Object.assign(state, {
    schemes: [cookieScheme, headerScheme('key', 'key_'), headerScheme('device', 'device_')],
    cookie: 'sid=session-of-alice',
    badCookie: 'sid=session-of-nobody',
    key: 'key_plain',
    keyWithScope: 'key_admin',
    device: 'device_one',
  })
}
