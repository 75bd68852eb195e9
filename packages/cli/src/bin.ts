#!/usr/bin/env node
import { exits } from './io.ts'
import { run } from './run.ts'

const stopped = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopped.abort()
    // A second signal, or a check that does not stop, must not keep the terminal.
    setTimeout(() => process.exit(exits.interrupted), 1000).unref()
    process.once(signal, () => process.exit(exits.interrupted))
  })
}
// `upgate doctor ... | head` ends the pipe early.
process.stdout.on('error', () => process.exit(exits.problem))

const { argv, env, stdin, stdout, stderr } = process
const status = await run({ argv: argv.slice(2), env, stdin, stdout, stderr, signal: stopped.signal })
process.exitCode = stopped.signal.aborted ? exits.interrupted : status
// A resolver of the system that hangs would keep the process alive.
setTimeout(() => process.exit(), 500).unref()
