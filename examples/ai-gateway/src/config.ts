import { resolve } from 'node:path'

/** The checked settings from the environment. */
export interface Config {
  readonly host: string
  /** 0 lets the system pick a free port. */
  readonly port: number
  /** Absolute path of the folder that holds the database. */
  readonly dataDir: string
  /** Origin under which callers reach the proxy; absent = `http://HOST:PORT` and localhost. */
  readonly publicUrl: string | undefined
  readonly upstream: URL
  /** The token that the proxy sends upstream. */
  readonly upstreamToken: string
  /** Longest request body, in bytes. */
  readonly maxBody: number
  /** How long the upstream may take until its answer begins, in milliseconds. */
  readonly timeout: number
}

/** A setting that cannot be used. The message names the variable and says what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

type Environment = Readonly<Record<string, string | undefined>>

/** The folder of the database. */
export function readDataDir(env: Environment): string {
  return resolve(env.DATA_DIR?.trim() || './data')
}

/**
 * Reads the settings from environment variables. An empty variable counts as absent.
 *
 * @throws {ConfigError} at the first variable that cannot be used; secrets are never part of the message
 */
export function readConfig(env: Environment): Config {
  const read = (name: string): string | undefined => env[name]?.trim() || undefined
  const upstreamToken = read('UPSTREAM_TOKEN')
  if (upstreamToken === undefined || !/^[\x21-\x7e]+$/.test(upstreamToken)) {
    throw new ConfigError('UPSTREAM_TOKEN must be the token that the upstream asks for, without spaces.')
  }
  return {
    host: read('HOST') ?? '127.0.0.1',
    port: readInteger('PORT', read('PORT') ?? '8790', 0, 65_535),
    dataDir: readDataDir(env),
    publicUrl: readOrigin('PUBLIC_URL', read('PUBLIC_URL')),
    upstream: readUpstream(read('UPSTREAM_URL')),
    upstreamToken,
    maxBody: readInteger('MAX_BODY_BYTES', read('MAX_BODY_BYTES') ?? '10485760', 1, 1_073_741_824),
    timeout: readInteger('UPSTREAM_TIMEOUT_MS', read('UPSTREAM_TIMEOUT_MS') ?? '300000', 100, 3_600_000),
  }
}

function readInteger(name: string, value: string, minimum: number, maximum: number): number {
  const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN
  if (number >= minimum && number <= maximum) return number
  throw new ConfigError(
    `${name} must be a whole number from ${minimum} to ${maximum}; it is ${JSON.stringify(value)}.`,
  )
}

function readOrigin(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol) || new URL(value).pathname !== '/') {
    throw new ConfigError(`${name} must be an origin such as https://ai.example.com, without a path.`)
  }
  return new URL(value).origin
}

function readUpstream(value: string | undefined): URL {
  const hint = 'UPSTREAM_URL must be the base URL of the upstream, such as https://api.openai.com/v1'
  if (value === undefined || !URL.canParse(value)) throw new ConfigError(`${hint}.`)
  const url = new URL(value)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new ConfigError(`${hint}, without user, password, query or fragment.`)
  }
  // The token goes there with every request: in the clear it may only stay on this machine.
  const local = /^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && local)) {
    throw new ConfigError(`${hint}; it must begin with https://, unless it is on this machine.`)
  }
  return url
}
