import { ConfigError } from '../config.ts'
import { type Problem, ProblemError } from '../http/problem.ts'
import type { Secrets } from './credential.ts'
import type { RemoteKey } from './key.ts'
import type { RemoteRecord } from './records.ts'
import { type Vault, VaultError } from './vault.ts'

/** Seals all secrets of a record. */
export function sealAll(
  vault: Vault,
  { id, url }: Pick<RemoteRecord, 'id' | 'url'>,
  secrets: Secrets,
): RemoteRecord['sealed'] {
  return Object.fromEntries(
    Object.entries(secrets)
      .filter(([, text]) => text !== undefined)
      .map(([field, text]) => [field, vault.seal(text as string, { record: id, url, field })]),
  )
}

/** Opens the secrets of a record; `undefined` if the key is gone or does not fit. */
export function unlock(key: RemoteKey, { id, url, sealed }: RemoteRecord): Secrets | undefined {
  const vault = key.vault()
  if (vault === undefined) return undefined
  try {
    return Object.fromEntries(
      Object.entries(sealed).map(([field, text]) => [field, vault.open(text, { record: id, url, field })]),
    )
  } catch (error) {
    if (error instanceof VaultError) return undefined
    throw error
  }
}

/**
 * The vault for new secrets.
 *
 * @throws {ProblemError} if there is no usable key
 */
export function vaultFor(key: RemoteKey): Vault {
  try {
    const vault = key.make()
    if (vault !== undefined) return vault
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ProblemError({
      status: 503,
      code: 'remote_key_unusable',
      detail: error.message,
      action: 'Repair or remove the file where this gateway runs, then try again.',
    })
  }
  throw new ProblemError(keyMissing)
}

/** Only a key of the settings can be missing: another one is made. */
export const keyMissing: Problem = {
  status: 409,
  code: 'remote_key_missing',
  detail: 'Instances that share a database need a key for the secrets of this connection, and none is set.',
  action: 'Set REMOTE_KEY to the same secret of at least 32 characters at every instance.',
}

/** The stored secrets cannot be kept, because they cannot be read. */
export const locked: Problem = {
  status: 409,
  code: 'remote_key_lost',
  detail: 'The stored secrets cannot be read: their key was lost or replaced.',
  action: 'Enter every secret again, or leave it empty; or remove the connection.',
}
