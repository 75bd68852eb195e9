import * as crypto from 'node:crypto'

type Algorithm = 'sha1' | 'sha256'
type Encoding = 'base64' | 'base64url'

/** The digest of a UTF-8 string. */
export const digest: (algorithm: Algorithm, text: string, encoding: Encoding) => string =
  // One call instead of three objects takes half the time (Node 20.12, 21.7).
  typeof crypto.hash === 'function'
    ? (algorithm, text, encoding) => crypto.hash(algorithm, text, encoding)
    : (algorithm, text, encoding) => crypto.createHash(algorithm).update(text).digest(encoding)
