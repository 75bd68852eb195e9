import { createInterface } from 'node:readline'
import { type Arguments, help, readArguments, UsageError } from './node-client/arguments.ts'
import { attempt } from './node-client/attempt.ts'
import type { Proof } from './node-client/connect-request.ts'
import { openIdentity } from './node-client/identity.ts'

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

async function run(options: Arguments): Promise<void> {
  const { url, headers, reconnect, warning } = options
  if (warning !== undefined) process.stderr.write(`Warning: ${warning}\n`)
  const proof = await proofOf(options)
  let stopping = false
  let stop = (): void => {}
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      stopping = true
      stop()
      // Leaves time to send the close frame.
      setTimeout(() => process.exit(0), 200)
    })
  }
  // While the node waits for approval, each attempt would print the same lines.
  const said = new Set<string>()
  const printOnce = (line: string): void => {
    if (said.has(line)) return
    // Messages of the gateway are always printed.
    if (!line.startsWith('<')) said.add(line)
    print(line)
  }
  for (let failures = 0; ; failures++) {
    printOnce(`Connecting to ${url}`)
    const ending = await attempt({
      url,
      proof,
      headers,
      print: printOnce,
      onStop(end) {
        stop = end
      },
    })
    if (stopping) return
    if (ending.accepted || ending.pending) failures = 0
    if (!ending.pending) said.clear()
    if (ending.advice === 'stop' || ending.advice === 'renew') {
      print(
        proof.by === 'key'
          ? 'Trying again would give the same answer. If necessary, create a code on the pages of the gateway and set UPGATE_CODE.'
          : 'Trying again would give the same answer. If necessary, create a new device on the pages of the gateway.',
      )
      process.exit(1)
    }
    if (!reconnect && !ending.pending) process.exit(1)
    const pause = ending.pending
      ? Math.max(1000, ending.wait)
      : pauseFor(ending.advice, failures, ending.wait)
    if (!ending.pending) print(`Trying again in ${(pause / 1000).toFixed(1)} s.`)
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

/** Grows with every failure, up to a minute; the random part spreads the reconnects of a thousand nodes. */
function pauseFor(
  advice: 'back_off' | 'back_off_long' | 'reconnect',
  failures: number,
  least: number,
): number {
  const first = advice === 'reconnect' ? 1000 : advice === 'back_off' ? 2000 : 30_000
  const grown = Math.min(60_000, first * 2 ** Math.min(failures, 6))
  return Math.max(least, grown * (0.5 + Math.random()))
}

async function proofOf({ token, pair }: Arguments): Promise<Proof> {
  if (pair !== undefined) {
    const { identity, ...wish } = pair
    return { by: 'key', identity: openIdentity(identity), ...wish }
  }
  return { by: 'token', token: token === 'stdin' ? await readToken() : (token ?? '').trim() }
}

async function readToken(): Promise<string> {
  for await (const line of createInterface({ input: process.stdin })) {
    const token = line.trim()
    if (token !== '') return token
  }
  throw new UsageError('Standard input held no token.')
}
