#!/usr/bin/env node
import { runCommand } from './command.ts'

process.exitCode = await runCommand({
  argv: process.argv.slice(2),
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  onStop: (callback) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, callback)
    // The reader of the output has ended, as with `| head`: further output would go nowhere.
    process.stdout.on('error', callback)
  },
})
// An open stdin would keep a stopped process alive.
process.stdin.destroy()
