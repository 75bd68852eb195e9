import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { built, joinedProgram } from './joined-program.ts'

const cheapHashes = new URL('./cheap-hashes.mjs', import.meta.url).href
const quickPairing = new URL('./quick-pairing.mjs', import.meta.url).href

/** The first admin of every gateway under test, unless a test wants none. */
export const admin = { email: 'ada@example.com', password: 'correct horse battery' }

/** A folder that is removed after the test. */
export interface DataDir {
  readonly path: string
  remove(): void
}

export function temporaryDataDir(): DataDir {
  const parent = mkdtempSync(join(tmpdir(), 'upgate-gateway-'))
  return { path: join(parent, 'data'), remove: () => rmSync(parent, { recursive: true, force: true }) }
}

/** The gateway as a separate process. */
export interface Program {
  readonly origin: string
  readonly pid: number
  /** Standard output so far. */
  output(): string
  errors(): string
  /** Resolves once the output matches. */
  printed(pattern: RegExp): Promise<RegExpMatchArray>
  /** Sends a signal and resolves with exit code, signal and the time it took, in milliseconds. */
  stop(signal: NodeJS.Signals): Promise<Exit>
  readonly exited: Promise<Exit>
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly took: number
}

export interface ProgramOptions {
  readonly dataDir: string
  /**
   * Additional variables, besides `HOST`, `PORT` (a free one) and the admin; `undefined` removes a variable.
   */
  readonly env?: Readonly<Record<string, string | undefined>>
  /**
   * Whether passwords are hashed as in production. Default: false, which saves a second of a core at each
   * start and login.
   */
  readonly realHashes?: boolean
  /** Whether the modules are those of the build. Default: false, which joins them: see `joined-program.ts`. */
  readonly asBuilt?: boolean
}

const running = new Set<ChildProcess>()

/** Starts the program without waiting for it. */
export function spawnProgram({
  dataDir,
  env = {},
  realHashes = false,
  asBuilt = false,
}: ProgramOptions): Omit<Program, 'origin'> {
  if (!existsSync(built.gateway)) throw new Error('The example gateway is not built: npm run build')
  const variables: Record<string, string | undefined> = {
    PATH: process.env.PATH,
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: dataDir,
    ADMIN_EMAIL: admin.email,
    ADMIN_PASSWORD: admin.password,
    ...env,
  }
  const imports = [quickPairing, ...(realHashes ? [] : [cheapHashes])].map((url) => `--import=${url}`)
  const args = [...imports, asBuilt ? built.gateway : joinedProgram('gateway')]
  const child = spawn(process.execPath, args, { cwd: tmpdir(), env: variables as NodeJS.ProcessEnv })
  running.add(child)
  let output = ''
  let errors = ''
  const watchers = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    for (const watch of watchers) watch()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  let since = performance.now()
  const exited = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => {
      running.delete(child)
      resolve({ code, signal, took: performance.now() - since })
    })
  })
  return {
    pid: child.pid ?? -1,
    output: () => output,
    errors: () => errors,
    exited,
    printed(pattern) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          const match = output.match(pattern)
          if (match === null) return
          watchers.delete(look)
          resolve(match)
        }
        watchers.add(look)
        look()
        void exited.then(() =>
          reject(new Error(`The gateway ended without printing ${pattern}.\n${output}${errors}`)),
        )
      })
    },
    stop(signal) {
      since = performance.now()
      child.kill(signal)
      return exited
    },
  }
}

/** Starts the program and waits until it listens. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const program = spawnProgram(options)
  const [, origin = ''] = await program.printed(/^Gateway ready: (\S+)\n/m)
  return { ...program, origin }
}

/** Ends programs that a failed test left running. */
export async function endAll(): Promise<void> {
  await Promise.all(
    [...running].map(async (child) => {
      const closed = new Promise((resolve) => child.once('close', resolve))
      child.kill('SIGKILL')
      await closed
    }),
  )
}
