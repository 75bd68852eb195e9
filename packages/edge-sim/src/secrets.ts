import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** Where randomness comes from: `count` unpredictable bytes. */
export type RandomBytes = (count: number) => Uint8Array

/** The system's randomness. */
export const systemRandom: RandomBytes = (count) => randomBytes(count)

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** `bytes` random bytes in hex. */
export function hex(random: RandomBytes, bytes: number): string {
  return Buffer.from(random(bytes)).toString('hex')
}

/** A random UUID, version 4, from the given randomness. */
export function uuid(random: RandomBytes): string {
  const bytes = Buffer.from(random(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** A service token's secret: 64 hex, or the newer scannable `cfast_` form (40 alphanumerics, 8 of checksum). */
export function clientSecret(random: RandomBytes, form: 'hex' | 'cfast'): string {
  if (form === 'hex') return hex(random, 32)
  const body = Array.from(random(40), (byte) => BASE62[byte % 62]).join('')
  return `cfast_${body}${crc32(body).toString(16).padStart(8, '0')}`
}

/** The digest under which a secret is kept and compared; secrets themselves are never stored. */
export function digest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/** Compares two digests in constant time. */
export function sameDigest(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
