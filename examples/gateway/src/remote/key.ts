import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { installationKey } from '../installation-key.ts'
import { createVault, type Vault } from './vault.ts'

/** The key of the stored secrets. It is never in the database. */
export interface RemoteKey {
  /** `undefined` if there is no key (any more). */
  vault(): Vault | undefined
  /** The vault with the key, which is made if there is none; `undefined` if it can only come from the settings. */
  make(): Vault | undefined
  /** Forgets a key that was made here: copies of the database hold texts that nothing opens. */
  forget(): void
}

/** A key from the settings, which the operator keeps. */
export function keyFromSettings(secret: string | undefined): RemoteKey {
  const vault = secret === undefined ? undefined : createVault(secret)
  return { vault: () => vault, make: () => vault, forget() {} }
}

const name = 'remote.key'

/** A key in a file of the data folder that only its owner can read. */
export function keyInFolder(folder: string): RemoteKey {
  const file = join(folder, name)
  return {
    vault() {
      try {
        return createVault(readFileSync(file, 'utf8').trim())
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    make: () => createVault(installationKey(folder, name)),
    forget: () => rmSync(file, { force: true }),
  }
}
