import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from './config.ts'

/**
 * Reads a secret of this installation from the data folder. The first call creates it, readable by its owner only.
 *
 * The secret is not in the database: a copy of the database must not reveal the addresses of its keyed digests, or the
 * secrets that it encrypts.
 *
 * @param name of the file
 * @throws {ConfigError} if the file is unusable
 */
export function installationKey(dataDir: string, name = 'installation.key'): string {
  const file = join(dataDir, name)
  try {
    writeFileSync(file, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST') throw unusable(file, code)
  }
  try {
    chmodSync(file, 0o600)
    const key = readFileSync(file, 'utf8').trim()
    if (key.length >= 32) return key
  } catch (error) {
    throw unusable(file, (error as NodeJS.ErrnoException).code)
  }
  throw unusable(file, 'shorter than 32 characters')
}

function unusable(file: string, problem: string | undefined): ConfigError {
  return new ConfigError(
    `${JSON.stringify(file)} cannot be used (${problem ?? 'unknown error'}): remove it, and the next start makes another.`,
  )
}
