import { createHash, createPrivateKey, createPublicKey, hkdfSync, type KeyObject, sign } from 'node:crypto'

/** The identity under which the front connects one node to the gateway. */
export interface NodeIdentity {
  /** Hex SHA-256 of the public key: the id of the node at the gateway. */
  readonly id: string
  /** The raw public key in base64url. */
  readonly publicKey: string
  sign(text: string): string
}

/** The header of an Ed25519 private key in PKCS #8 (RFC 8410, section 7); the 32 bytes of the seed follow. */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * Derives the key of a node from the secret of the front: every node is a separate node of the gateway, with the same id
 * after each restart, and the front keeps one secret only.
 */
export function identityOf(secret: Uint8Array, deviceId: string): NodeIdentity {
  const seed = Buffer.from(hkdfSync('sha256', secret, '', `upgate openclaw-front node ${deviceId}`, 32))
  const key: KeyObject = createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: 'der', type: 'pkcs8' })
  const raw = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-32)
  return {
    id: createHash('sha256').update(raw).digest('hex'),
    publicKey: raw.toString('base64url'),
    sign: (text) => sign(null, Buffer.from(text), key).toString('base64url'),
  }
}
