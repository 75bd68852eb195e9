import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { UsageError } from './arguments.ts'

/** What is signed in a `connect` request, beside what the key itself says. */
export interface Signed {
  readonly clientId: string
  readonly mode: string
  readonly role: string
  readonly scopes: readonly string[]
  readonly platform: string
  /** The code that is sent along, or nothing. */
  readonly token: string
  readonly nonce: string
  /** The gateway's clock, in milliseconds since the epoch: a machine without a battery has none. */
  readonly signedAt: number
}

/** The key of a node. It never leaves its file. */
export interface Identity {
  /** `device` of the `connect` request. */
  prove(signed: Signed): Readonly<Record<string, string | number>>
  /** Keeps the token that the gateway made at the end of a pairing; it works over HTTP, too. */
  keep(deviceToken: string): void
}

/**
 * Opens the identity in a file, or makes one there, readable by its owner only.
 *
 * @throws {UsageError} when the file is not an identity, or others may read it
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
      // One that is there already could be another user's, who would read the key in it.
      rmSync(next, { force: true })
      write(next, { privateKey: pem, deviceToken })
      // All or nothing: half a file would be a lost key.
      renameSync(next, path)
    },
  }
}

function readPrivateKey(path: string): string | undefined {
  let text: string
  try {
    // Windows has no such bits.
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
    // The sentence below says it.
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
