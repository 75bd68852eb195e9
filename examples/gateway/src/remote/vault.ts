import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** Where a secret belongs. A text that was sealed for one place opens at no other one. */
export interface Place {
  /** Id of the record. */
  readonly record: string
  /** The address that the secret is sent to: a writer of the database must not be able to send it elsewhere. */
  readonly url: string
  readonly field: string
}

/** The key does not fit, or the stored text was changed. The two cannot be told apart. */
export class VaultError extends Error {
  override readonly name = 'VaultError'
}

/** Encrypts secrets for the database. */
export interface Vault {
  seal(text: string, place: Place): string
  /** @throws {VaultError} */
  open(sealed: string, place: Place): string
}

const version = 'v1'
const nonceLength = 12
const tagLength = 16

/** AES-256-GCM with a random nonce for each text; the place is authenticated with it. */
export function createVault(secret: string): Vault {
  // The same secret may serve other purposes, with other keys.
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'upgate gateway: secrets of the remote', 32))
  return {
    seal(text, place) {
      const nonce = randomBytes(nonceLength)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(bytesOf(place))
      const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return `${version}.${sealed.toString('base64url')}`
    },
    open(sealed, place) {
      const bytes = Buffer.from(sealed.startsWith(`${version}.`) ? sealed.slice(3) : '', 'base64url')
      if (bytes.length < nonceLength + tagLength) throw new VaultError('Not a text of this vault.')
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceLength), {
          authTagLength: tagLength,
        })
          .setAAD(bytesOf(place))
          .setAuthTag(bytes.subarray(-tagLength))
        return (
          decipher.update(bytes.subarray(nonceLength, -tagLength), undefined, 'utf8') + decipher.final('utf8')
        )
      } catch {
        throw new VaultError('The key does not fit, or the stored text was changed.')
      }
    },
  }
}

function bytesOf({ record, url, field }: Place): Buffer {
  // JSON keeps the parts apart.
  return Buffer.from(JSON.stringify(['upgate gateway remote', record, url, field]))
}
