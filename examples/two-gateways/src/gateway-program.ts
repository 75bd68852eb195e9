import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The example gateway as a process. */
export interface GatewayProgram {
  readonly name: string
  readonly port: number
  /** Resolves with the exit code. */
  readonly exited: Promise<number | null>
  stop(): Promise<void>
}

export interface GatewaySettings {
  readonly name: string
  /** 0 picks a free one. */
  readonly port: number
  readonly dataDir: string
  readonly email: string
  readonly password: string
  /** Arguments of Node. Default: none. */
  readonly node?: readonly string[] | undefined
  /** Gets the lines that the gateway prints. */
  write(line: string): void
}

const program = fileURLToPath(new URL('../../gateway/dist/main.js', import.meta.url))

/** Starts the example gateway, which may connect to gateways on this machine. */
export async function startGatewayProgram(settings: GatewaySettings): Promise<GatewayProgram> {
  const { name, port, dataDir, email, password, node = [], write } = settings
  if (!existsSync(program)) {
    throw new Error('The gateway is not built: run `npm run build` in the root of the repository first.')
  }
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, [...node, program], {
    env: {
      PATH,
      HOST: '127.0.0.1',
      PORT: String(port),
      DATA_DIR: dataDir,
      ADMIN_EMAIL: email,
      ADMIN_PASSWORD: password,
      // Without it, a gateway connects to public addresses only.
      REMOTE_ALLOW: 'loopback',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const ready = new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /^Gateway ready: http:\/\/127\.0\.0\.1:(\d+)$/.exec(line)?.[1]
      if (found !== undefined) resolve(Number(found))
      write(line)
    })
    void exited.then((code) =>
      reject(new Error(`The gateway ${name} ended with ${code} before it was ready.`)),
    )
  })
  return {
    name,
    port: await ready,
    exited,
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}
