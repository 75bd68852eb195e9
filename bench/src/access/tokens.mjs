import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto'

export const team = 'acme'
export const issuer = `https://${team}.cloudflareaccess.com`
export const audience = '32eafc7626e737a3ab93eb5ebd5a4ff5d8ae3e4b0ea4d0ddbba1fd3f3c6bd9b7'
const kid = '1c8a2bd0f5a7e4c39b60d817f2e3a4c5b6d798081a2b3c4d5e6f708192a3b4c5'

/** Signs tokens of users as Cloudflare Access does: RS256, 2,048 bits, the claims of a login. */
export function createIssuer() {
  // By way of PEM: Node 20 can lock up when a key just generated is exported as JWK.
  const { privateKey: pem } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const privateKey = createPrivateKey(pem)
  const publicKey = createPublicKey(privateKey)
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' })
  const encode = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const header = encode({ alg: 'RS256', kid, typ: 'JWT' })
  return {
    /** What the certs endpoint answers. */
    jwks: { keys: [{ kid, kty: 'RSA', alg: 'RS256', use: 'sig', n, e }] },
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    /** Creates a token that no contender has seen. */
    token() {
      const iat = Math.floor(Date.now() / 1000)
      const payload = encode({
        aud: [audience],
        email: 'alice@example.com',
        exp: iat + 86_400,
        iat,
        nbf: iat,
        iss: issuer,
        type: 'app',
        identity_nonce: randomUUID(),
        sub: randomUUID(),
        country: 'PT',
      })
      const input = `${header}.${payload}`
      return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`
    },
  }
}
