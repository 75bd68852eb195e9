import { readConfig } from './config.ts'
import { ConfigError } from './config-error.ts'
import { help, readSettings } from './settings.ts'

process.umask(0o077)
// If the reader of the log ends, the front still has to serve.
process.stdout.on('error', () => {})
const write = (line: string): void => void process.stdout.write(`${line}\n`)

try {
  const given = readSettings(process.argv.slice(2), process.env)
  if (given === undefined) write(help())
  else await run(readConfig(given))
} catch (error) {
  process.stderr.write(`${explain(error)}\n`)
  process.exit(1)
}

async function run(config: ReturnType<typeof readConfig>): Promise<void> {
  // Loaded after the settings are checked, so that a mistake in them is reported at once.
  const { startFront } = await import('./front.ts')
  const front = await startFront(config, write)
  let stopping = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopping) return
      stopping = true
      write(`${signal}: closing sockets, and waiting for running answers`)
      setTimeout(() => process.exit(0), config.drainTimeout + 3000).unref()
      front.close().then(
        () => process.exit(0),
        (error: unknown) => {
          process.stderr.write(`${explain(error)}\n`)
          process.exit(1)
        },
      )
    })
  }
  write(`Front ready: ${front.origin}, in front of ${config.upstream.url.origin}`)
  write(
    config.nodes === 'own-key'
      ? 'Nodes: the front signs for each accepted node, with a key of its own.'
      : "Nodes: each signs the gateway's own nonce, and the gateway knows it by its key.",
  )
}

/** Describes an error in one sentence with the remedy. */
function explain(error: unknown): string {
  if (error instanceof ConfigError) return `Cannot start: ${error.message}`
  const { code, port, message } = error as NodeJS.ErrnoException & { port?: number }
  if (code === 'EADDRINUSE') return `Cannot start: port ${port} is in use. Set PORT to another number.`
  if (code === 'EACCES')
    return `Cannot start: this user may not listen on port ${port}. Set PORT to 1024 or more.`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return 'Cannot start: HOST is no address of this machine. Set it to 127.0.0.1 or 0.0.0.0.'
  if (code?.startsWith('store_'))
    return `Cannot start: the database in DATA_DIR cannot be used (${code}). ${message}`
  return `Cannot start: ${error instanceof Error ? (error.stack ?? error.message) : 'unknown error'}`
}
