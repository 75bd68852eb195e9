import { ConfigError, readConfig } from './config.ts'
import type { Gateway } from './gateway.ts'
import { warnOfHiddenVisitors } from './hidden-visitors.ts'

// Database files are readable by their owner only, in every DATA_DIR.
process.umask(0o077)

// If the reader of the log ends, the gateway still has to serve nodes and browsers.
process.stdout.on('error', () => {})

const write = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** Longest shutdown, in milliseconds; unfinished work is then cut off. */
const shutdownLimit = 4500

try {
  const config = readConfig(process.env)
  // Loaded after the settings are checked, so that a mistake in them is reported at once.
  const { startGateway } = await import('./gateway.ts')
  const gateway = await startGateway(config, { write })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop(gateway, signal))
  write(`Gateway ready: ${gateway.origin}`)
  if (config.publicUrl !== undefined) write(`Listening on ${config.host}:${gateway.port}`)
  else if (/^(0\.0\.0\.0|::)$/.test(config.host)) {
    write('Other machines cannot log in yet: set PUBLIC_URL to the address that their browsers use.')
  }
  const hidden = warnOfHiddenVisitors(config)
  if (hidden !== undefined) write(hidden)
  if (config.database !== undefined) {
    const own =
      config.database.redis === undefined
        ? 'chat, audit page, and the counts of failed logins and wrong pairing codes (set REDIS_URL to share these)'
        : 'chat and audit page'
    write(`Shared with all instances on this database, except for each one's own: ${own}.`)
  }
  if (config.access !== undefined) {
    write(
      `Cloudflare Access does the login: ${config.access.issuer}. The built-in login and set-up are closed.`,
    )
    if (config.access.simulator !== undefined) {
      write(
        `Warning: the keys of a simulator are trusted (${config.access.simulator}). A program that listens there can forge every identity.`,
      )
    }
  } else if (gateway.setupCode === undefined) write(`Next step: log in at ${gateway.origin}/login`)
  else {
    write(`Setup code: ${gateway.setupCode} (valid for 30 minutes, once)`)
    write(`Next step: open ${gateway.origin}/setup and create the first account with this code`)
  }
} catch (error) {
  process.stderr.write(`${explain(error)}\n`)
  process.exit(1)
}

let stopping = false

function stop(gateway: Gateway, signal: string): void {
  if (stopping) return
  stopping = true
  write(`${signal}: closing sockets and the database`)
  setTimeout(() => process.exit(0), shutdownLimit).unref()
  gateway.close().then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${explain(error)}\n`)
      process.exit(1)
    },
  )
}

/** Describes an error in one sentence with the remedy. */
function explain(error: unknown): string {
  if (error instanceof ConfigError) return `Cannot start: ${error.message}`
  const { code, address, port, message } = error as NodeJS.ErrnoException & {
    address?: string
    port?: number
  }
  switch (code) {
    case 'EADDRINUSE':
      return `Cannot start: port ${port} of ${address} is in use. Stop what uses it, or set PORT to another number.`
    case 'EACCES':
    case 'EPERM':
      return `Cannot start: this user may not listen on port ${port} of ${address}. Set PORT to a number from 1024 up.`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `Cannot start: HOST ${process.env.HOST ?? ''} is no address of this machine. Set HOST to 127.0.0.1 or 0.0.0.0.`
    case 'store_corrupt':
    case 'store_too_new':
    case 'store_busy':
    case 'store_full':
    case 'store_unavailable':
      return `Cannot start: the database in ${process.env.DATABASE_URL ? 'DATABASE_URL' : 'DATA_DIR'} cannot be used (${code}). ${message}`
    default:
      return `Cannot start: ${error instanceof Error ? (error.stack ?? error.message) : 'unknown error'}`
  }
}
