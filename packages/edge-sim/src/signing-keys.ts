import { createHash, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { type JWK, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { selfSigned } from './certificate.ts'
import type { Clock } from './clock.ts'

/** How long a key that was rotated out is still published and honoured: 7 days, in milliseconds. */
export const KEY_OVERLAP_MS: number = 7 * 86_400_000

interface Key {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly cert: string
  /** When it stops being published; the current key has no end. */
  until: number
}

/** The document that `/cdn-cgi/access/certs` answers. */
export interface CertsDocument {
  readonly keys: readonly JWK[]
  readonly public_cert: { readonly kid: string; readonly cert: string }
  readonly public_certs: readonly { readonly kid: string; readonly cert: string }[]
}

/** The RS256 keys of one team: two live ones, the current key listed second. */
export interface SigningKeys {
  sign(claims: JWTPayload): Promise<string>
  /** The claims if a published key signed them and they have not expired, else `undefined`. */
  verify(token: string): Promise<JWTPayload | undefined>
  /** Makes a new current key; the former one stays published for seven days. Answers the new `kid`. */
  rotate(): Promise<string>
  document(): Promise<CertsDocument>
}

/**
 * Generates an RSA key as PEM, to be imported again. The detour matters: in Node 20 a generated key shares a lock with
 * the job that made it, and exporting it as a JWK while that job is garbage-collected deadlocks the process.
 */
async function generatePem(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return privateKey
}

/** Makes the keys of one team. `supplied` private RSA JWKs are used first, in order; then keys are generated. */
export function createSigningKeys(domain: string, clock: Clock, supplied: readonly JWK[]): SigningKeys {
  const waiting = [...supplied]

  async function make(until: number): Promise<Key> {
    const jwk = waiting.shift()
    const privateKey = createPrivateKey(
      jwk === undefined ? await generatePem() : { key: jwk as Record<string, unknown>, format: 'jwk' },
    )
    const publicKey = createPublicKey(privateKey)
    const kid = createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex')
    return {
      kid,
      privateKey,
      publicKey,
      cert: selfSigned(domain, { privateKey, publicKey }, clock.now()),
      until,
    }
  }

  // Generated once, at the first use: checking a configuration needs no keys.
  let keys: Promise<Key[]> | undefined
  const firstUntil = clock.now() + KEY_OVERLAP_MS
  const made = (): Promise<Key[]> => {
    keys ??= Promise.all([make(firstUntil), make(Number.POSITIVE_INFINITY)])
    return keys
  }

  async function live(): Promise<Key[]> {
    const all = await made()
    for (let index = all.length - 1; index >= 0; index--) {
      if ((all[index]?.until ?? 0) <= clock.now()) all.splice(index, 1)
    }
    return all
  }

  async function current(): Promise<Key> {
    const key = (await live()).at(-1)
    if (key === undefined) throw new Error('a team always has a current key')
    return key
  }

  return {
    async sign(claims) {
      const key = await current()
      return new SignJWT(claims)
        .setProtectedHeader({ alg: 'RS256', kid: key.kid, typ: 'JWT' })
        .sign(key.privateKey)
    },
    async verify(token) {
      const published = await live()
      const find = ({ kid }: { kid?: string }): KeyObject => {
        const key = published.find((candidate) => candidate.kid === kid)
        if (key === undefined) throw new Error('no published key has this kid')
        return key.publicKey
      }
      const options = { algorithms: ['RS256'], currentDate: new Date(clock.now()) }
      return jwtVerify(token, find, options).then(
        ({ payload }) => payload,
        () => undefined,
      )
    },
    async rotate() {
      const all = await live()
      const next = await make(Number.POSITIVE_INFINITY)
      const former = all.at(-1)
      if (former !== undefined) former.until = clock.now() + KEY_OVERLAP_MS
      all.push(next)
      return next.kid
    },
    async document() {
      const published = await live()
      const certs = published.map(({ kid, cert }) => ({ kid, cert }))
      const last = certs.at(-1) ?? { kid: '', cert: '' }
      const jwks = published.map(({ kid, publicKey }) => {
        const { kty, e, n } = publicKey.export({ format: 'jwk' })
        return { kid, kty, alg: 'RS256', use: 'sig', e, n } as JWK
      })
      return { keys: jwks, public_cert: last, public_certs: certs }
    },
  }
}
