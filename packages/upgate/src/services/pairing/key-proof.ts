import { createHash, createPublicKey, verify } from 'node:crypto'
import type { Verification } from '../../core/contract/credential.ts'
import type { DeviceProof } from '../../core/contract/device-proof.ts'

type KeyProof = Extract<DeviceProof, { by: 'key' }>

/** Milliseconds that a device's clock may differ from ours. */
export const clockSkew = 120_000

/** Result of checking a key proof. `keyId` is the hex SHA-256 of the raw public key. */
export type KeyProofResult =
  | {
      readonly keyId: string
      readonly problem?: undefined
      readonly late: boolean
      /** The device token that the signature covers, and may bind the key to. */
      readonly covers: string | undefined
    }
  | { readonly keyId?: undefined; readonly problem: string }

/** RFC 8410: an Ed25519 public key is these octets and the 32 raw ones. */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex')
const longestText = 16_384

/** Decodes base64 or base64url that holds exactly `size` bytes; rejects any other text before decoding it. */
function bytesOf(text: string, size: number): Buffer | undefined {
  const digits = Math.ceil((size * 4) / 3)
  if (text.length < digits || text.length > digits + 2) return undefined
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === size ? bytes : undefined
}

/** The rejection of a proof that was signed too long ago, or in the future. */
export function clockIsWrong(now: number): Verification {
  return {
    outcome: 'rejected',
    code: 'expired_credential',
    reason: `it was signed more than ${clockSkew / 1000} s from now: the device's clock is wrong`,
    details: { serverTime: now },
    clocksDiffer: true,
  }
}

/** Checks that a key signed the server's challenge. The caller decides whether the key is known. */
export function checkKeyProof(proof: KeyProof, now: number): KeyProofResult {
  const raw = bytesOf(proof.publicKey, 32)
  if (raw === undefined) return { problem: 'the public key is not 32 bytes in base64' }
  const signature = bytesOf(proof.signature, 64)
  if (signature === undefined) return { problem: 'the signature is not 64 bytes in base64' }
  const keyId = createHash('sha256').update(raw).digest('hex')
  if (proof.keyId !== undefined && proof.keyId !== keyId) {
    return { problem: 'the device id is not the SHA-256 of the public key' }
  }
  if (isSmallOrder(raw)) return { problem: 'the public key is of small order: anybody can sign for it' }
  let key: ReturnType<typeof createPublicKey>
  try {
    key = createPublicKey({ key: Buffer.concat([spkiPrefix, raw]), format: 'der', type: 'spki' })
  } catch {
    return { problem: 'the public key is none of Ed25519' }
  }
  const signed = proof.signedTexts.findIndex((text) => {
    const bytes = typeof text === 'string' ? Buffer.from(text, 'utf8') : text
    return bytes.length <= longestText && verify(null, bytes, key, signature)
  })
  if (signed === -1) return { problem: 'the signature does not match the challenge' }
  const { signedAt } = proof
  const covers = proof.covers?.[signed]
  return { keyId, covers, late: signedAt !== undefined && !(Math.abs(now - signedAt) <= clockSkew) }
}

/** Y-coordinates of the eight points of small order, sign bit cleared, and their non-canonical spellings. */
const smallOrder: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
])

/**
 * With such a key one signature is valid for many texts (RFC 8032 section 5.1.7 leaves the check to
 * applications).
 */
function isSmallOrder(raw: Buffer): boolean {
  const y = Buffer.from(raw)
  y[31] = (y[31] as number) & 0x7f
  return smallOrder.has(y.toString('hex'))
}
