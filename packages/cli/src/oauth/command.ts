import { parseArgs } from 'node:util'
import { seconds, usageMessage } from '../arguments.ts'
import { report } from '../doctor/command.ts'
import { exits, type Io, UsageError } from '../io.ts'
import { oauthUsage } from '../usage.ts'
import { runOAuthDoctor } from './doctor.ts'

/** `upgate doctor oauth <resource or issuer>`. */
export async function oauthCommand(io: Io): Promise<number> {
  const { values, positionals } = parse(io.argv)
  if (values.help === true) {
    io.stdout.write(oauthUsage)
    return exits.fine
  }
  const [url, ...more] = positionals
  if (url === undefined || more.length > 0)
    throw new UsageError('upgate doctor oauth needs one URL, such as https://mcp.example.com/mcp')
  const timeout = seconds('--timeout', values.timeout, 1, 600) * 1000
  return report(io, values, (progress) => runOAuthDoctor({ url, timeout, signal: io.signal, progress }))
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        timeout: { type: 'string', default: '30' },
        json: { type: 'boolean', default: false },
        quiet: { type: 'boolean', short: 'q', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw new UsageError(usageMessage(error))
  }
}
