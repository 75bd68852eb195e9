import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as open } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needs } from '../clients/needs.ts'
import { freePort } from '../free-port.ts'

/** The reverse proxies that tests start, and where Debian's packages install them. */
const binaries = { nginx: '/usr/sbin/nginx', haproxy: '/usr/sbin/haproxy', caddy: '/usr/bin/caddy' } as const

export type ProxyName = keyof typeof binaries

/** A reverse proxy as a separate process. */
export interface ProxyProgram {
  /** For example `http://127.0.0.1:41234`. */
  readonly origin: string
  readonly port: number
  /** Both standard streams so far. */
  output(): string
  stop(): Promise<void>
}

/**
 * Whether a proxy is installed, for `describe.skipIf`.
 *
 * @throws Error if it is not installed although `UPGATE_REQUIRE_PROXIES` is set, as in CI
 */
export function hasProxy(name: ProxyName): boolean {
  return needs(name, existsSync(binaries[name]), 'UPGATE_REQUIRE_PROXIES')
}

/**
 * Starts nginx, haproxy or Caddy on a free port of 127.0.0.1 and resolves when it accepts connections.
 *
 * `configure` gets that port and the proxy's own folder, and returns the text that a guide prints: for nginx the content of
 * `http {}`, for haproxy the sections after `defaults` with its timeouts, for Caddy the sites of a Caddyfile.
 *
 * @throws Error with the proxy's own words if it does not start within 10 s
 */
export async function startProxy(
  name: ProxyName,
  configure: (port: number, folder: string) => string,
): Promise<ProxyProgram> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const folder = mkdtempSync(join(tmpdir(), `upgate-${name}-`))
    const started = await start(name, configure(port, folder), port, folder)
    if (typeof started !== 'string') return started
    rmSync(folder, { recursive: true, force: true })
    // Another program may have taken the port since it was free.
    if (attempt === 3 || !/in use|cannot bind/i.test(started)) {
      throw new Error(`${name} did not start: ${started}`)
    }
  }
}

async function start(
  name: ProxyName,
  text: string,
  port: number,
  folder: string,
): Promise<ProxyProgram | string> {
  const child = spawn(binaries[name], commands[name](text, folder), {
    cwd: folder,
    env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output: string[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk.toString()))
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      output.push(error.message)
      resolve()
    })
    // With its whole output.
    child.once('close', () => resolve())
  })
  const deadline = performance.now() + 60_000
  for (;;) {
    if (await answers(port)) break
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline) {
      await end(child, exited)
      return output.join('')
    }
  }
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    output: () => output.join(''),
    async stop() {
      await end(child, exited)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The command line that runs each proxy in the foreground, with its configuration written to its folder. */
const commands: Readonly<Record<ProxyName, (text: string, folder: string) => string[]>> = {
  nginx(text, folder) {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((kind) => `  ${kind}_temp_path ${folder}/${kind};`)
      .join('\n')
    const file = join(folder, 'nginx.conf')
    writeFileSync(
      file,
      `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
${temporary}
${text}
}
`,
    )
    return ['-e', 'stderr', '-p', folder, '-c', file]
  },
  haproxy(text, folder) {
    const file = join(folder, 'haproxy.cfg')
    writeFileSync(
      file,
      `defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 1m
${text}
`,
    )
    return ['-db', '-f', file]
  },
  caddy(text, folder) {
    const file = join(folder, 'Caddyfile')
    writeFileSync(
      file,
      `{
  admin off
  auto_https off
}
${text}
`,
    )
    return ['run', '--config', file, '--adapter', 'caddyfile']
  },
}

async function end(child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 5000)
    await exited
    clearTimeout(late)
  }
}

/** Whether something accepts connections on the port, tried every 20 ms by the caller's loop. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = open({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => setTimeout(() => resolve(false), 20))
  })
}
