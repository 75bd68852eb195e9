import { crc32 } from 'node:zlib'

/** Kind of a token, visible to people and secret scanners. */
export type TokenPrefix = 'ugk' | 'ugd' | 'ugt' | 'ugs'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const idLength = 12
const secretLength = 43
const checksumLength = 6

/** Length of every token: prefix, public id, secret and checksum. */
export const tokenLength: number = 3 + 1 + idLength + 1 + secretLength + checksumLength

const secretStart = 3 + 1 + idLength + 1
const base62 = /^[0-9A-Za-z]+$/

function encode(value: bigint, length: number): string {
  let rest = value
  let text = ''
  for (let i = 0; i < length; i++) {
    text = (alphabet[Number(rest % 62n)] as string) + text
    rest /= 62n
  }
  return text
}

function integerOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

/** A public id: 12 base62 characters, about 71 bits. */
export function createId(randomBytes: (size: number) => Uint8Array): string {
  // 16 bytes for 12 characters: the bias of the modulo is below 2^-56.
  return encode(integerOf(randomBytes(16)), idLength)
}

/** Whether a text has the form of a public id. */
export function isId(text: string): boolean {
  return text.length === idLength && base62.test(text)
}

/**
 * Creates a token, `<prefix>_<id>_<secret><checksum>` in base62 with fixed lengths, 66 characters in all.
 *
 * The secret is 32 random bytes. The checksum (CRC-32 of the characters before it) is public and catches
 * typing errors without asking the store. It proves nothing.
 */
export function createToken(
  prefix: TokenPrefix,
  id: string,
  randomBytes: (size: number) => Uint8Array,
): string {
  const head = `${prefix}_${id}_${encode(integerOf(randomBytes(32)), secretLength)}`
  return head + encode(BigInt(crc32(head)), checksumLength)
}

/** The public id of a well-formed token, or a description of the problem that holds no part of the token. */
export type ParsedToken = { readonly id: string } | { readonly problem: string }

/** Checks the form and the checksum of a token; says nothing about its validity. */
export function parseToken(prefix: TokenPrefix, token: string): ParsedToken {
  if (!token.startsWith(`${prefix}_`)) return { problem: `is not a token of the kind ${prefix}_` }
  if (token.length < tokenLength) return { problem: 'is too short: part of it is missing' }
  if (token.length > tokenLength) return { problem: 'is too long: something is attached to it' }
  const id = token.slice(4, 4 + idLength)
  if (token[4 + idLength] !== '_' || !base62.test(id) || !base62.test(token.slice(secretStart))) {
    return { problem: 'holds characters that such a token cannot hold' }
  }
  const head = token.slice(0, -checksumLength)
  if (encode(BigInt(crc32(head)), checksumLength) !== token.slice(-checksumLength)) {
    return { problem: 'has a checksum that does not match: it was mistyped or altered' }
  }
  return { id }
}
