import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { UsageError } from './arguments.ts'

/** The signed fields of a `connect` request, in addition to those of the key itself. */
export interface Signed {
  readonly clientId: string
  readonly mode: string
  readonly role: string
  readonly scopes: readonly string[]
  readonly platform: string
  /** The pairing code of the request, or an empty text. */
  readonly token: string
  readonly nonce: string
  /** The gateway's clock, in milliseconds since the epoch: the node's own clock may be wrong. */
  readonly signedAt: number
}

/** The key of a node. The private key never leaves its file. */
export interface Identity {
  /** `device` of the `connect` request. */
  prove(signed: Signed): Readonly<Record<string, string | number>>
  /** Stores the token that the gateway made at the end of a pairing; it also works over HTTP. */
  keep(deviceToken: string): void
}

/**
 * Opens the identity in a file, or creates one there, readable by its owner only.
 *
 * @throws {UsageError} if the file is not an identity, or if other users may read it
 */
export function openIdentity(path: string): Identity {
  const pem = readPrivateKey(path) ?? createFile(path)
  const privateKey = createPrivateKey(pem)
  const raw = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).subarray(-32)
  const id = createHash('sha256').update(raw).digest('hex')
  return {
    prove({ clientId, mode, role, scopes, platform, token, nonce, signedAt }) {
      const text = [
        'v3',
        id,
        clientId,
        mode,
        role,
        scopes.join(','),
        signedAt,
        token,
        nonce,
        platform,
        '',
      ].join('|')
      const signature = sign(null, Buffer.from(text), privateKey).toString('base64url')
      return { id, publicKey: raw.toString('base64url'), signature, signedAt, nonce }
    },
    keep(deviceToken) {
      const next = `${path}.new`
      // An existing file could belong to another user, and that user could read the key in it.
      rmSync(next, { force: true })
      write(next, { privateKey: pem, deviceToken })
      // Atomic: half a file would be a lost key.
      renameSync(next, path)
    },
  }
}

function readPrivateKey(path: string): string | undefined {
  let text: string
  try {
    // Windows has no such modes.
    if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
      throw new UsageError(`Others may read ${path}, the key of this node. Run: chmod 600 ${path}`)
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof UsageError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new UsageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
  }
  try {
    const { privateKey } = JSON.parse(text) as { readonly privateKey: string }
    if (createPrivateKey(privateKey).asymmetricKeyType === 'ed25519') return privateKey
  } catch {
    // The error below covers this case.
  }
  throw new UsageError(`${path} holds no key of a node. Name another file with --identity.`)
}

function createFile(path: string): string {
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  try {
    write(path, { privateKey: pem })
  } catch (error) {
    throw new UsageError(`${path} cannot be written (${(error as NodeJS.ErrnoException).code}).`)
  }
  return pem
}

function write(path: string, content: Readonly<Record<string, string>>): void {
  writeFileSync(path, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' })
}
