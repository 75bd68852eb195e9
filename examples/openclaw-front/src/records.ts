import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServices, type Logger, type Services, type Store } from 'upgate'
import { sqliteStore } from 'upgate/sql'
import type { Config } from './config.ts'
import { ConfigError } from './config-error.ts'
import { manage } from './rules.ts'

/** The records of the front. */
export interface Records {
  readonly services: Services
  /** From which the keys of nodes are derived. */
  readonly secret: Uint8Array
  close(): Promise<void>
}

/** Scopes of the first account: those of an operator of the gateway. */
const adminScopes = [manage, 'operator.read', 'operator.write', 'operator.approvals', 'operator.pairing']

/**
 * Opens the database and the secret of the front, and creates the first account.
 *
 * @throws {ConfigError} if the settings allow no login
 */
export async function openRecords(config: Config, logger: Logger): Promise<Records> {
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  const secret = readSecret(join(config.dataDir, 'front.key'))
  const store: Store = await sqliteStore({ file: join(config.dataDir, 'front.db') })
  const services = createServices({
    store,
    logger,
    pairing: { roles: { node: [] }, actorScope: manage },
  })
  const close = async (): Promise<void> => {
    await services.close()
    await store.close()
  }
  try {
    await createFirstAdmin(config, services)
    return { services, secret, close }
  } catch (error) {
    await close()
    throw error
  }
}

function readSecret(file: string): Uint8Array {
  try {
    // Fails if the file exists: two starts at the same time must not make two keys.
    writeFileSync(file, randomBytes(32), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const secret = readFileSync(file)
  if (secret.length === 32) return secret
  throw new ConfigError(
    `${file} is damaged: it must hold 32 bytes. Restore it, or remove it to get new keys.`,
  )
}

async function createFirstAdmin({ admin, login }: Config, services: Services): Promise<void> {
  if (await services.accounts.any()) return
  if (admin === undefined) {
    const more = login.by === 'password' ? ', and ADMIN_PASSWORD' : ' to your address there'
    throw new ConfigError(`ADMIN_EMAIL is missing: there is no account yet. Set it${more}.`)
  }
  const made = await services.accounts.createFirst({
    email: admin.email,
    ...(login.by === 'password' && { password: admin.password }),
    scopes: adminScopes,
  })
  if (made.outcome === 'refused' && made.code !== 'accounts_exist') {
    throw new ConfigError(`ADMIN_EMAIL and ADMIN_PASSWORD were not accepted: ${made.reason}`)
  }
}
