import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { createClient } from 'redis'
import { freePort } from '../free-port.ts'
import { patience } from './services.ts'

/** A private server of a test, which it may stop, unlike the machine's server. */
export interface PrivateService {
  readonly url: string
  /** Ids of the server and its children; no other process can be among them. */
  processes(): number[]
  /** Ends the server: `fast` like an administrator, `kill` like the kernel when memory runs out. */
  stop(how: 'fast' | 'kill'): Promise<void>
  /** Starts the server again, on the same port and with its data; resolves when it answers. */
  start(): Promise<void>
  /** Ends the server and removes its data. */
  dispose(): Promise<void>
}

/** Debian does not put PostgreSQL's server programs on PATH. */
function programFolders(): string[] {
  const versions = '/usr/lib/postgresql'
  const debian = existsSync(versions) ? readdirSync(versions).sort((a, b) => Number(b) - Number(a)) : []
  return [
    ...debian.map((version) => join(versions, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
  ]
}

function find(program: string): string | undefined {
  return programFolders()
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path))
}

/** PostgreSQL refuses to run as root; Debian's package creates a user for it. */
function unprivileged(): string[] | undefined {
  if (process.getuid?.() !== 0) return []
  const known = spawnSync('id', ['-u', 'postgres']).status === 0 && find('setpriv') !== undefined
  return known ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups'] : undefined
}

/**
 * Whether the programs behind {@link privatePostgres} or {@link privateRedis} are installed; prints a note if
 * not.
 *
 * @throws Error if they are missing although the variable of the service is set, as in CI
 */
export function canStart(service: 'postgres' | 'redis'): boolean {
  const missing =
    service === 'redis'
      ? find('redis-server') === undefined && 'redis-server'
      : (find('initdb') === undefined && 'initdb') ||
        (find('postgres') === undefined && 'postgres') ||
        (unprivileged() === undefined && 'a user `postgres` and setpriv')
  if (missing === false) return true
  const variable = service === 'redis' ? 'UPGATE_REQUIRE_REDIS' : 'UPGATE_REQUIRE_POSTGRES'
  if (isRequired(variable)) throw new Error(`${missing} is missing, and ${variable} is set.`)
  console.warn(`Left out: ${missing} is not on this machine.`)
  return false
}

function isRequired(variable: string): boolean {
  return !['', '0'].includes(process.env[variable] ?? '')
}

interface Recipe {
  readonly folder: string
  readonly url: string
  readonly command: readonly string[]
  /** The signal that an administrator uses to stop the server. */
  readonly fast: NodeJS.Signals
  answers(): Promise<unknown>
}

async function serve({ folder, url, command, fast, answers }: Recipe): Promise<PrivateService> {
  let child: ChildProcess | undefined
  let output = ''
  const killWithUs = (): void => void child?.kill('SIGKILL')
  process.once('exit', killWithUs)

  function launch(): ChildProcess {
    const [program = '', ...args] = command
    const launched = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [launched.stdout, launched.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-4000)
      })
    }
    return launched
  }

  const service: PrivateService = {
    url,
    processes() {
      if (child?.pid === undefined) return []
      const children = spawnSync('ps', ['-o', 'pid=', '--ppid', `${child.pid}`], { encoding: 'utf8' }).stdout
      return [child.pid, ...(children.match(/\d+/g) ?? []).map(Number)]
    },
    async start() {
      const deadline = performance.now() + patience
      while (performance.now() < deadline) {
        // After a kill the successor may have to wait until the last child has noticed.
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) child = launch()
        try {
          await answers()
          return
        } catch {
          await sleep(50)
        }
      }
      throw new Error(`A private server does not answer: ${output}`)
    },
    async stop(how) {
      if (child === undefined) return
      const ended = child
      child = undefined
      if (ended.exitCode !== null || ended.signalCode !== null) return
      const exit = once(ended, 'exit')
      ended.kill(how === 'fast' ? fast : 'SIGKILL')
      const late = setTimeout(() => ended.kill('SIGKILL'), patience)
      await exit
      clearTimeout(late)
    },
    async dispose() {
      process.off('exit', killWithUs)
      // Stopped children would not notice the end of the server.
      for (const pid of service.processes()) {
        try {
          process.kill(pid, 'SIGCONT')
        } catch {
          // The process has ended already.
        }
      }
      await service.stop('kill')
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
    },
  }
  try {
    await service.start()
  } catch (error) {
    await service.dispose()
    throw error
  }
  return service
}

/** A private Redis of a test. Without `keeps` it loses its data when it ends, as Redis does by default. */
export async function privateRedis({ keeps = false } = {}): Promise<PrivateService> {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-redis-'))
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  return serve({
    folder,
    url,
    command: [
      find('redis-server') as string,
      ...['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
      ...(keeps ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']),
    ],
    fast: 'SIGTERM',
    async answers() {
      const client = createClient({ url, socket: { connectTimeout: 10_000, reconnectStrategy: false } })
      client.on('error', () => {})
      await client.connect()
      try {
        await client.ping()
      } finally {
        client.destroy()
      }
    },
  })
}

/** Whether PgBouncer is installed; like {@link canStart}. */
export function canPool(): boolean {
  if (find('pgbouncer') !== undefined && unprivileged() !== undefined) return true
  if (isRequired('UPGATE_REQUIRE_POSTGRES')) {
    throw new Error('pgbouncer is missing, and UPGATE_REQUIRE_POSTGRES is set.')
  }
  console.warn('Left out: pgbouncer is not on this machine.')
  return false
}

/**
 * A private PgBouncer in front of a server: each transaction may get another connection of the server.
 *
 * @param server - address of the server
 * @param connections - largest number of connections to the server
 */
export async function privatePgBouncer(server: string, connections = 2): Promise<PrivateService> {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-pgbouncer-'))
  const port = await freePort()
  const { hostname, port: at, username, pathname } = new URL(server)
  const url = `postgres://${username}@127.0.0.1:${port}${pathname}`
  const settings = [
    '[databases]',
    `* = host=${hostname} port=${at} user=${username}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    `default_pool_size = ${connections}`,
    'server_round_robin = 1',
    'ignore_startup_parameters = statement_timeout, idle_in_transaction_session_timeout',
  ]
  writeFileSync(join(folder, 'pgbouncer.ini'), settings.join('\n'))
  chmodSync(folder, 0o755)
  return serve({
    folder,
    url,
    command: [...(unprivileged() as string[]), find('pgbouncer') as string, join(folder, 'pgbouncer.ini')],
    fast: 'SIGINT',
    answers: () => asked(url),
  })
}

/** A private PostgreSQL cluster of a test, durable as usual. */
export async function privatePostgres(): Promise<PrivateService> {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-postgres-'))
  const as = unprivileged() as string[]
  const run = (command: readonly string[]): void => {
    const [program = '', ...args] = command
    execFileSync(program, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  if (as.length > 0) run(['chown', 'postgres', folder])
  const data = join(folder, 'data')
  const port = await freePort()
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  run([
    ...as,
    ...[find('initdb') as string, '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'],
  ])
  return serve({
    folder,
    url,
    command: [
      ...as,
      ...[find('postgres') as string, '-D', data, '-p', `${port}`, '-k', folder],
      ...['-c', 'listen_addresses=127.0.0.1', '-c', 'shared_buffers=16MB'],
    ],
    // SIGTERM would wait for all clients to leave (PostgreSQL manual, "Shutting Down the Server").
    fast: 'SIGINT',
    answers: () => asked(url),
  })
}

async function asked(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('select 1')
  } finally {
    await client.end()
  }
}
