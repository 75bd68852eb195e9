import { type ChildProcess, spawn } from 'node:child_process'

/** A third-party WebSocket client, as the behaviours drive it. */
export interface Client {
  /** Resolves once the client says that the upgrade succeeded. */
  connected(): Promise<void>
  send(text: string): void
  /** The next message as the client shows it, in order. */
  message(): Promise<string>
  /** The close frame as the client shows it. */
  closed(): Promise<{ code: number; reason: string }>
  /** Ends it, whatever it is doing. */
  stop(): void
}

/** Things that happen once each, or in a row, and are waited for in any order. */
export class Happenings {
  readonly #queue: string[] = []
  readonly #takers: ((message: string) => void)[] = []
  readonly connected: PromiseWithResolvers<void> = withResolvers()
  readonly closed: PromiseWithResolvers<{ code: number; reason: string }> = withResolvers()

  message(text: string): void {
    const taker = this.#takers.shift()
    if (taker === undefined) this.#queue.push(text)
    else taker(text)
  }

  take(): Promise<string> {
    const text = this.#queue.shift()
    return text === undefined ? new Promise((resolve) => this.#takers.push(resolve)) : Promise.resolve(text)
  }
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

// Promise.withResolvers exists from Node 22 on.
function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/** A client that is a program: one line in is one message out, and `read` makes sense of each line it prints. */
export function programClient(
  command: string,
  args: readonly string[],
  read: (line: string, happenings: Happenings) => void,
): Client {
  const happenings = new Happenings()
  const child: ChildProcess = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  let rest = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) read(line, happenings)
  })
  return {
    connected: () => happenings.connected.promise,
    send: (text) => void child.stdin?.write(`${text}\n`),
    message: () => happenings.take(),
    closed: () => happenings.closed.promise,
    stop: () => void child.kill('SIGKILL'),
  }
}
