import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { DeviceIdentity } from './credential.ts'

/** A device's key with the text to keep. */
export interface DeviceKey extends DeviceIdentity {
  /** PKCS 8 in PEM. Keep it in a file that only its owner can read. */
  readonly privateKey: string
}

/**
 * The Ed25519 key of a device: the one in this PEM, or a new one.
 *
 * @throws TypeError if the text holds no Ed25519 key
 */
export function deviceKey(privateKey?: string): DeviceKey {
  const pem =
    // Not `??`: a key that could not be read must not become a new one.
    privateKey === undefined
      ? generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
      : privateKey
  const key = readKey(pem)
  const raw = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-32)
  return {
    privateKey: pem,
    publicKey: raw.toString('base64url'),
    id: createHash('sha256').update(raw).digest('hex'),
    sign: (text) => sign(null, Buffer.from(text), key).toString('base64url'),
  }
}

function readKey(pem: string): ReturnType<typeof createPrivateKey> {
  try {
    // A key object or bytes would be read, too, and could not be kept as text.
    const key = createPrivateKey(`${pem}`)
    if (typeof pem === 'string' && key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // The exception of the library may quote the text.
  }
  throw new TypeError(
    'deviceKey: `privateKey` must be an Ed25519 key in PEM, as `deviceKey().privateKey` is.',
  )
}
