import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ConfigError } from './config-error.ts'

/** One setting: a variable of the environment and, unless it is a secret, a flag of the same name. */
interface Setting {
  readonly meaning: string
  readonly initial?: string
  /** Never a flag: other users of the machine can read the arguments of a program. */
  readonly secret?: true
}

/** The names of all settings, as variables of the environment. */
export type SettingName =
  | 'UPSTREAM_URL'
  | 'UPSTREAM_TOKEN'
  | 'UPSTREAM_PASSWORD'
  | 'UPSTREAM_USER_HEADER'
  | 'UPSTREAM_WAITING'
  | 'NODES'
  | 'HOST'
  | 'PORT'
  | 'PUBLIC_URL'
  | 'TRUST_PROXY'
  | 'DATA_DIR'
  | 'LOGIN'
  | 'ADMIN_EMAIL'
  | 'ADMIN_PASSWORD'
  | 'CF_ACCESS_TEAM'
  | 'CF_ACCESS_AUD'
  | 'CF_ACCESS_SIMULATOR'
  | 'IDENTITY_HEADERS'
  | 'IDENTITY_PEERS'
  | 'IDENTITY_TRUST_SHARED_PEERS'
  | 'HANDSHAKE_TIMEOUT_MS'
  | 'DRAIN_MS'

const settings: Readonly<Record<SettingName, Setting>> = {
  UPSTREAM_URL: { meaning: 'address of the OpenClaw gateway', initial: 'http://127.0.0.1:18789' },
  UPSTREAM_TOKEN: {
    meaning: "the gateway's shared token, with which nodes are connected to it (mode token)",
    secret: true,
  },
  UPSTREAM_PASSWORD: { meaning: 'its password instead (mode password or trusted-proxy)', secret: true },
  UPSTREAM_USER_HEADER: {
    meaning: 'header in which the gateway reads the user (userHeader of its trusted-proxy mode)',
    initial: 'x-forwarded-user',
  },
  UPSTREAM_WAITING: {
    meaning: 'sockets at the gateway that it has not accepted yet, at a time; it drops more than 32',
    initial: '24',
  },
  NODES: {
    meaning: "own-key: the front signs for each node. handed-nonce: nodes sign the gateway's own nonce",
    initial: 'own-key',
  },
  HOST: { meaning: 'address to listen on', initial: '127.0.0.1' },
  PORT: { meaning: 'port to listen on; 0 picks a free one', initial: '8791' },
  PUBLIC_URL: { meaning: 'the address that browsers use, without a path', initial: 'http://HOST:PORT' },
  TRUST_PROXY: { meaning: 'proxies with a trusted X-Forwarded-For: addresses, ranges, loopback, private' },
  DATA_DIR: { meaning: 'folder of the records and of the key of the front', initial: './data' },
  LOGIN: {
    meaning: 'password, access (Cloudflare Access) or header (a proxy that logs in)',
    initial: 'password',
  },
  ADMIN_EMAIL: { meaning: 'email address of the first account' },
  ADMIN_PASSWORD: { meaning: 'its password, for LOGIN=password', secret: true },
  CF_ACCESS_TEAM: { meaning: 'for LOGIN=access: the team, such as acme of acme.cloudflareaccess.com' },
  CF_ACCESS_AUD: { meaning: 'for LOGIN=access: AUD tag of the application' },
  CF_ACCESS_SIMULATOR: { meaning: 'for tests: address of edge-sim, whose keys are trusted instead' },
  IDENTITY_HEADERS: {
    meaning:
      'for LOGIN=header: remote-user, authelia, authentik, oauth2-proxy, tailscale, or a header with the email',
  },
  IDENTITY_PEERS: {
    meaning: 'for LOGIN=header: addresses of the proxies, the only peers whose header counts',
  },
  IDENTITY_TRUST_SHARED_PEERS: {
    meaning:
      'for LOGIN=header: yes trusts loopback, where every program of the machine can log in as any user',
  },
  HANDSHAKE_TIMEOUT_MS: { meaning: 'from the upgrade of a node to its credential', initial: '10000' },
  DRAIN_MS: { meaning: 'longest wait for running answers at SIGTERM', initial: '5000' },
}

const flagOf = (name: string): string => name.toLowerCase().replaceAll('_', '-')

/** The settings as given: flags first, then the environment. Empty ones count as absent. */
export type Given = (name: SettingName) => string | undefined

/**
 * Reads flags and environment. A secret may also be in the file that `<NAME>_FILE` names.
 *
 * @returns `undefined` if help was asked for
 * @throws {ConfigError} for unknown flags, and for secrets that cannot be read
 */
export function readSettings(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Given | undefined {
  const flags = parseFlags(args)
  if (flags.help === true) return undefined
  return (name) => {
    const setting: Setting = settings[name]
    const flag = flags[flagOf(name)]
    const given = (typeof flag === 'string' ? flag : env[name])?.trim()
    if (given !== undefined && given !== '') return given
    if (setting.secret === true) return readSecretFile(`${name}_FILE`, env[`${name}_FILE`])
    return name === 'PUBLIC_URL' ? undefined : setting.initial
  }
}

function parseFlags(args: readonly string[]): Readonly<Record<string, string | boolean | undefined>> {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  }
  for (const [name, setting] of Object.entries<Setting>(settings)) {
    if (setting.secret !== true) options[flagOf(name)] = { type: 'string' }
  }
  try {
    return parseArgs({ args: [...args], options }).values as Record<string, string | boolean | undefined>
  } catch (error) {
    const [flag = ''] = /--?[\w-]+/.exec((error as Error).message) ?? []
    const secret = Object.entries<Setting>(settings).find(([name]) => `--${flagOf(name)}` === flag)?.[0]
    if (secret !== undefined && args.some((arg) => arg.startsWith(flag))) {
      throw new ConfigError(
        `${flag} would show the secret to every user of this machine: set ${secret} or ${secret}_FILE in the environment.`,
      )
    }
    throw new ConfigError(`${flag === '' ? 'The arguments' : flag} cannot be used. Try --help.`)
  }
}

function readSecretFile(name: string, path: string | undefined): string | undefined {
  if (path === undefined || path.trim() === '') return undefined
  try {
    return readFileSync(path.trim(), 'utf8').trim() || undefined
  } catch {
    throw new ConfigError(`${name} names a file that cannot be read.`)
  }
}

/** The text of `--help`. */
export function help(): string {
  const lines = Object.entries<Setting>(settings).map(([name, { meaning, initial, secret }]) => {
    const head = secret === true ? `${name}, ${name}_FILE` : `${name}, --${flagOf(name)}`
    return `  ${head}\n      ${meaning}${initial === undefined ? '' : ` (default: ${initial})`}`
  })
  return `openclaw-front: a login, and nodes that prove themselves, in front of an OpenClaw gateway

Usage: node dist/main.js [flags]

Every setting is a variable of the environment and a flag; secrets are no flags.

${lines.join('\n')}`
}
