import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { type Report, run } from '@upgate/cli'
import { createGate, createServices, deviceKey, deviceToken, memoryStore } from 'upgate'
import { connectFrame, guardServer, upgateHandshake } from 'upgate/ws'
import { afterEach } from 'vitest'
import { WebSocketServer } from 'ws'

/** Lets the check of `npm test` see what the command printed; see test/output in the root. */
function record(label: string, text: string): void {
  const { upgateRecorder } = globalThis as {
    upgateRecorder?: { print(label: string, text: string): void }
  }
  upgateRecorder?.print(label, text)
}

const cleanups: (() => unknown)[] = []

/** Ends, after each test, what the helpers started, the newest first. */
export function cleanUp(): void {
  afterEach(async () => {
    for (const close of cleanups.splice(0).reverse()) await close()
  })
}

/** Something to end after the test. */
export function later(close: () => unknown): void {
  cleanups.push(close)
}

/** Everything that a run of the command printed, and its exit status. */
export interface Ran {
  readonly status: number
  readonly out: string
  readonly err: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly tty?: boolean
  readonly signal?: AbortSignal
}

/** Runs the command inside this process. */
export async function upgate(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const printed = { out: '', err: '' }
  const output = (name: 'out' | 'err') => ({
    isTTY: options.tty ?? false,
    write: (text: string) => {
      printed[name] += text
      record('cli', text)
    },
  })
  const stdin = new PassThrough()
  stdin.end(options.input ?? '')
  const status = await run({
    argv,
    env: options.env ?? {},
    stdin,
    stdout: output('out'),
    stderr: output('err'),
    signal: options.signal ?? new AbortController().signal,
    clock: quickPauses,
  })
  return { status, ...printed }
}

/** Pauses between attempts take a fiftieth of their time; the limits of an attempt, from ten seconds on, stay. */
const quickPauses = {
  now: Date.now,
  setTimer(milliseconds: number, callback: () => void) {
    const timer = setTimeout(callback, milliseconds < 10_000 ? milliseconds / 50 : milliseconds)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** A command that keeps running, such as `upgate node`. */
export interface Running {
  readonly out: () => string
  /** Resolves once the output has this text. */
  printed(text: string): Promise<void>
  /** Stops it, as SIGINT does; answers the exit status. */
  stop(): Promise<number>
  readonly status: Promise<number>
}

/** Starts the command inside this process; it is stopped after the test. */
export function start(argv: readonly string[], { env = {}, input = '' }: RunOptions = {}): Running {
  const abort = new AbortController()
  const watchers = new Set<() => void>()
  let printed = ''
  const output = {
    isTTY: false,
    write(text: string) {
      printed += text
      record('cli', text)
      for (const watch of watchers) watch()
    },
  }
  const stdin = new PassThrough()
  stdin.end(input)
  const io = { argv, env, stdin, stdout: output, stderr: output, signal: abort.signal, clock: quickPauses }
  const status = run(io)
  const stop = (): Promise<number> => {
    abort.abort()
    return status
  }
  later(stop)
  return {
    out: () => printed,
    stop,
    status,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!printed.includes(text)) return
          watchers.delete(look)
          resolve()
        }
        watchers.add(look)
        look()
        void status.then(() => reject(new Error(`It ended without printing ${text}.\n${printed}`)))
      }),
  }
}

/** Runs the command with `--json`. */
export async function report(
  argv: readonly string[],
  options?: RunOptions,
): Promise<Report & { readonly status: number; readonly ids: Readonly<Record<string, string>> }> {
  const { status, out } = await upgate([...argv, '--json'], options)
  const read = JSON.parse(out) as Report
  return { ...read, status, ids: Object.fromEntries(read.checks.map((check) => [check.id, check.status])) }
}

/** A TCP server that does this with every connection; answers its port. */
export async function tcpServer(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  later(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return listen(server as Server)
}

/** An HTTP server; answers its origin. */
export async function httpServer(listener: RequestListener): Promise<string> {
  const server = createHttpServer(listener)
  later(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${await listen(server)}`
}

async function listen(server: Pick<Server, 'listen' | 'address'>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** A gate on a real server: devices on `/ws`, keys of devices on `/connect` and `/ours`, tokens in a header on `/chat`. */
export async function startGate(): Promise<{
  readonly origin: string
  readonly port: number
  readonly services: ReturnType<typeof createServices>
}> {
  const services = createServices({ store: memoryStore() })
  const gate = createGate({
    origins: ['https://gateway.example.com'],
    schemes: [
      deviceToken({ devices: services.devices }),
      deviceKey({ devices: services.devices, pairing: services.pairing }),
    ],
    rules: [
      { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
      {
        path: '/admin',
        access: 'deferred',
        kinds: ['device'],
        scopes: ['operator.admin'],
        handshake: upgateHandshake(),
      },
      { path: '/chat', access: 'required', kinds: ['device'] },
      {
        path: '/connect',
        access: 'deferred',
        kinds: ['device'],
        handshake: connectFrame({ deviceKeys: true }),
      },
      {
        path: '/ours',
        access: 'deferred',
        kinds: ['device'],
        handshake: upgateHandshake({ deviceKeys: true }),
      },
    ],
    logger: { warn() {}, error() {} },
  })
  const server = createHttpServer((_request, response) => response.end('application'))
  const guard = guardServer(server, gate, {
    sockets: {
      '/ws': accepting(),
      '/admin': accepting(),
      '/chat': accepting(),
      '/connect': accepting(),
      '/ours': accepting(),
    },
  })
  later(async () => {
    server.close()
    server.closeAllConnections()
    await guard.close()
    await services.close()
  })
  const port = await listen(server)
  return { origin: `ws://127.0.0.1:${port}`, port, services }
}

function accepting(): WebSocketServer {
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on('connection', () => {})
  return sockets
}
