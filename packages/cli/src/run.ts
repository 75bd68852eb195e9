import { readFileSync } from 'node:fs'
import { doctorCommand } from './doctor/command.ts'
import { explainCommand } from './explain.ts'
import { exits, type Io, UsageError } from './io.ts'
import { nodeCommand } from './node/command.ts'
import { oauthCommand } from './oauth/command.ts'
import { usage } from './usage.ts'

/**
 * Runs the command `upgate`.
 *
 * @returns the exit status; it never rejects
 */
export async function run(io: Io): Promise<number> {
  const [command, ...argv] = io.argv
  try {
    switch (command) {
      case 'doctor':
        return argv[0] === 'oauth'
          ? await oauthCommand({ ...io, argv: argv.slice(1) })
          : await doctorCommand({ ...io, argv })
      case 'node':
        return await nodeCommand({ ...io, argv })
      case 'explain':
        return explainCommand({ ...io, argv })
      case undefined:
        io.stderr.write(usage)
        return exits.usage
      case '-h':
      case '--help':
      case 'help':
        io.stdout.write(usage)
        return exits.fine
      case '--version':
        io.stdout.write(`${version()}\n`)
        return exits.fine
      default:
        throw new UsageError('There is no such command; see upgate --help.')
    }
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr.write(`upgate: ${error.message}\n`)
      return exits.usage
    }
    // A defect of this command: its stack helps to report it, its message may quote a server.
    io.stderr.write(`upgate: ${error instanceof Error ? error.name : 'error'} inside the command itself.\n`)
    return exits.problem
  }
}

/** The version of this package; the path is the same from `src` and from `dist`. */
export function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
