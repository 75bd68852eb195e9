import { parseArgs } from 'node:util'
import { seconds, usageMessage } from '../arguments.ts'
import { exitCodeOf } from '../exit-code.ts'
import { exits, type Io, UsageError } from '../io.ts'
import { readEdge } from '../read-edge.ts'
import { readSecret } from '../read-secret.ts'
import { createProgress } from '../terminal/progress.ts'
import { createPaint, reportText } from '../terminal/report.ts'
import { doctorUsage } from '../usage.ts'
import type { Report } from './check.ts'
import { runDoctor } from './doctor.ts'
import { assertSendable } from './guessable.ts'
import type { Progress } from './ladder.ts'

const handshakes = ['auto', 'upgate', 'connect', 'header'] as const

/** `upgate doctor <url>`. */
export async function doctorCommand(io: Io): Promise<number> {
  const { values, positionals } = parse(io.argv)
  if (values.help === true) {
    io.stdout.write(doctorUsage)
    return exits.fine
  }
  const [url, ...more] = positionals
  if (url === undefined)
    throw new UsageError('upgate doctor needs a URL, such as wss://gateway.example.com/ws')
  if (more.length > 0) throw new UsageError('upgate doctor takes one URL. Secrets never come from arguments.')
  const handshake = handshakes.find((name) => name === values.handshake)
  if (handshake === undefined) throw new UsageError(`--handshake must be one of ${handshakes.join(', ')}.`)
  const files = [values['token-file'], values['cookie-file'], values['edge-secret-file']]
  if (files.filter((file) => file === '-').length > 1)
    throw new UsageError('Only one secret can come from standard input.')
  const token = await readSecret(io, {
    option: '--token-file',
    file: values['token-file'],
    variable: 'UPGATE_TOKEN',
  })
  if (token !== undefined) assertSendable(token)
  const cookie = await readSecret(io, {
    option: '--cookie-file',
    file: values['cookie-file'],
    variable: 'UPGATE_COOKIE',
  })
  const timeout = seconds('--timeout', values.timeout, 1, 600) * 1000
  return report(io, values, async (progress) =>
    runDoctor({
      url,
      token,
      cookie,
      edge: await readEdge(io, values['edge-id'], values['edge-secret-file']),
      handshake,
      origin: values.origin,
      expectEdge: values['expect-edge'],
      idle: values.idle === undefined ? 0 : seconds('--idle', values.idle, 1, 3600),
      timeout,
      env: io.env,
      signal: io.signal,
      progress,
    }),
  )
}

/** Runs checks, prints their report in the wanted form, and returns the exit status. */
export async function report(
  io: Io,
  { json, quiet }: { readonly json?: boolean; readonly quiet?: boolean },
  run: (progress: Progress) => Promise<Report>,
): Promise<number> {
  const progress = createProgress(io, quiet === true || json === true)
  let result: Report
  try {
    result = await run(progress)
  } finally {
    progress.end()
  }
  if (io.signal.aborted) return exits.interrupted
  io.stdout.write(json === true ? `${JSON.stringify(result)}\n` : reportText(result, createPaint(io)))
  return exitCodeOf(result.verdict)
}

function parse(argv: readonly string[]) {
  // `--idle` alone has its default: parseArgs knows no optional values.
  const args = argv.map((each, index) =>
    each === '--idle' && !/^\d+$/.test(argv[index + 1] ?? '') ? '--idle=120' : each,
  )
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        'token-file': { type: 'string' },
        'cookie-file': { type: 'string' },
        'edge-id': { type: 'string' },
        'edge-secret-file': { type: 'string' },
        handshake: { type: 'string', default: 'auto' },
        origin: { type: 'string' },
        'expect-edge': { type: 'boolean', default: false },
        idle: { type: 'string' },
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
