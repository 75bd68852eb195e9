import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { type DeviceKey, deviceKey } from '@upgate/client'
import { UsageError } from '../io.ts'

/** The key of a device for one gateway, and the token that the gateway made for it. */
export interface KeyFile {
  readonly path: string
  readonly key: DeviceKey
  /** Whether the key was made just now: no gateway knows it yet. */
  readonly isNew: boolean
  readonly token: string | undefined
  /** Keeps a new token next to the key. */
  keep(token: string): void
}

interface Content {
  readonly gateway?: unknown
  readonly privateKey?: unknown
  readonly deviceToken?: unknown
}

/** The place of the key for a gateway: `nodes/<host>_<port>.json` below the user's configuration. */
export function defaultKeyPath(url: URL, env: Readonly<Record<string, string | undefined>>): string {
  const base = env.XDG_CONFIG_HOME?.startsWith('/') === true ? env.XDG_CONFIG_HOME : undefined
  const folder = base ?? env.APPDATA ?? join(env.HOME ?? homedir(), '.config')
  const port = url.port === '' ? (url.protocol === 'wss:' ? '443' : '80') : url.port
  // Brackets and colons of IPv6 addresses are no file name on Windows.
  return join(folder, 'upgate', 'nodes', `${url.hostname.replace(/[^\w.-]/g, '_')}_${port}.json`)
}

/**
 * Opens the key in a file, or creates one there, readable by its owner only.
 *
 * The file names its gateway, and no other one gets a signature of the key: it could pass on the challenge of the real
 * gateway, and be accepted there as this device.
 *
 * @throws UsageError if the file is no key, if others may read it, or if it belongs to another gateway
 */
export function openKeyFile(path: string, url: URL): KeyFile {
  const gateway = url.host
  const found = read(path)
  const content = found ?? create(path, gateway)
  const { privateKey, deviceToken } = content
  if (typeof content.gateway === 'string' && content.gateway !== gateway) {
    throw new UsageError(
      `${path} is the key for another gateway, which its field "gateway" names. Use another file, or change the field if the gateway has moved.`,
    )
  }
  let token = typeof deviceToken === 'string' && deviceToken !== '' ? deviceToken : undefined
  return {
    path,
    key: keyOf(path, privateKey),
    isNew: found === undefined,
    get token() {
      return token
    },
    keep(next) {
      token = next
      const other = `${path}.new`
      // An existing file could belong to another user, who could read the key in it.
      rmSync(other, { force: true })
      write(other, { gateway, privateKey, deviceToken: next })
      // Atomic: half a file would be a lost key.
      renameSync(other, path)
    },
  }
}

function keyOf(path: string, privateKey: unknown): DeviceKey {
  if (typeof privateKey === 'string') {
    try {
      return deviceKey(privateKey)
    } catch {
      // The error below covers this case.
    }
  }
  throw new UsageError(`${path} holds no key of a node. Name another file with --key-file.`)
}

function read(path: string): Content | undefined {
  let text: string
  try {
    const { mode } = lstatSync(path)
    // Windows has no such modes.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0 && (mode & 0o170000) !== 0o120000) {
      throw new UsageError(`Others may read ${path}, the key of this node. Run: chmod 600 ${path}`)
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof UsageError) throw error
    const { code = 'an error' } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new UsageError(`${path} cannot be read (${code}).`)
  }
  try {
    const content: unknown = JSON.parse(text)
    if (typeof content === 'object' && content !== null) return content
  } catch {
    // The parser's message would quote the file.
  }
  return {}
}

function create(path: string, gateway: string): Content {
  const content = { gateway, privateKey: deviceKey().privateKey }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    write(path, content)
  } catch (error) {
    throw new UsageError(`${path} cannot be written (${(error as NodeJS.ErrnoException).code}).`)
  }
  return content
}

function write(path: string, content: Content): void {
  writeFileSync(path, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' })
}
