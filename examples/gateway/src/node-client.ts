import { createInterface } from 'node:readline'
import { type Arguments, help, readArguments, UsageError } from './node-client/arguments.ts'
import { attempt } from './node-client/attempt.ts'

const print = (line: string): void => {
  process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`)
}

try {
  const options = readArguments(process.argv.slice(2), process.env)
  if (options === undefined) process.stdout.write(`${help}\n`)
  else await run(options)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\nTry --help.\n`)
  process.exit(2)
}

async function run({ url, token, headers, reconnect, warning }: Arguments): Promise<void> {
  if (warning !== undefined) process.stderr.write(`Warning: ${warning}\n`)
  const secret = token === 'stdin' ? await readToken() : token.trim()
  let stopping = false
  let stop = (): void => {}
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      stopping = true
      stop()
      // The close frame gets a moment to leave.
      setTimeout(() => process.exit(0), 200)
    })
  }
  for (let failures = 0; ; failures++) {
    print(`Connecting to ${url}`)
    const ending = await attempt({
      url,
      token: secret,
      headers,
      print,
      onStop(end) {
        stop = end
      },
    })
    if (stopping) return
    if (ending.accepted) failures = 0
    if (ending.advice === 'stop' || ending.advice === 'renew') {
      print(
        'Trying again would give the same answer. Create a new device on the pages of the gateway if need be.',
      )
      process.exit(1)
    }
    if (!reconnect) process.exit(1)
    const pause = pauseFor(ending.advice, failures, ending.wait)
    print(`Trying again in ${(pause / 1000).toFixed(1)} s.`)
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

/** Grows with every failure up to a minute; the random part keeps a thousand nodes from coming back at once. */
function pauseFor(
  advice: 'back_off' | 'back_off_long' | 'reconnect',
  failures: number,
  least: number,
): number {
  const first = advice === 'reconnect' ? 1000 : advice === 'back_off' ? 2000 : 30_000
  const grown = Math.min(60_000, first * 2 ** Math.min(failures, 6))
  return Math.max(least, grown * (0.5 + Math.random()))
}

async function readToken(): Promise<string> {
  for await (const line of createInterface({ input: process.stdin })) {
    const token = line.trim()
    if (token !== '') return token
  }
  throw new UsageError('Standard input held no token.')
}
