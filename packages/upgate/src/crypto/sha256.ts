import * as crypto from 'node:crypto'

/**
 * SHA-256 of a UTF-8 string in base64url, 43 characters: the form in which tokens are stored and looked up.
 */
export const sha256: (text: string) => string =
  // One call instead of three objects takes half the time (Node 20.12, 21.7).
  typeof crypto.hash === 'function'
    ? (text) => crypto.hash('sha256', text, 'base64url')
    : (text) => crypto.createHash('sha256').update(text).digest('base64url')
