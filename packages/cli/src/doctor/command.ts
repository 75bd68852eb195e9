import { parseArgs } from 'node:util'
import { exitCodeOf } from '../exit-code.ts'
import { exits, type Io, UsageError } from '../io.ts'
import { readSecret } from '../read-secret.ts'
import { createProgress } from '../terminal/progress.ts'
import { createPaint, reportText } from '../terminal/report.ts'
import { doctorUsage } from '../usage.ts'
import type { Report } from './check.ts'
import { type DoctorOptions, runDoctor } from './doctor.ts'
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

async function readEdge(
  io: Io,
  option: string | undefined,
  file: string | undefined,
): Promise<DoctorOptions['edge']> {
  const clientId = option ?? io.env.CF_ACCESS_CLIENT_ID
  const clientSecret = await readSecret(io, {
    option: '--edge-secret-file',
    file,
    variable: 'CF_ACCESS_CLIENT_SECRET',
  })
  if ((clientId ?? '') === '' && clientSecret === undefined) return undefined
  if (clientId === undefined || !/^[\x21-\x7e]{1,512}$/.test(clientId))
    throw new UsageError(
      'The client id of the edge is missing or malformed (--edge-id, CF_ACCESS_CLIENT_ID).',
    )
  if (clientSecret === undefined)
    throw new UsageError(
      'The client secret of the edge is missing (--edge-secret-file, CF_ACCESS_CLIENT_SECRET).',
    )
  return { clientId, clientSecret }
}

/** Reads a number of seconds. */
export function seconds(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most))
    throw new UsageError(`${option} must be a whole number of seconds from ${least} to ${most}.`)
  return value
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

/** The message of `parseArgs` without the values of arguments: one may be a secret in the wrong place. */
export function usageMessage(error: unknown): string {
  const { code = '', message = '' } = error as NodeJS.ErrnoException
  const option = /'(-{1,2}[\w-]{1,40})/.exec(message)?.[1]
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION')
    return `Unknown option ${option ?? ''}. Secrets come from files or the environment, see --help.`
  return `Wrong usage${option === undefined ? '' : ` of ${option}`}; see --help.`
}
