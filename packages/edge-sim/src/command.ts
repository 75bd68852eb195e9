import { createInterface } from 'node:readline'
import type { EdgeSim } from './api.ts'
import { type CommandOptions, readCommandOptions, readFault, USAGE } from './command-options.ts'
import type { LogEntry } from './request-log.ts'
import type { ServiceTokenCredentials } from './service-tokens.ts'
import { createEdgeSim } from './sim.ts'

/** The world around the command, so that a test can stand in for it. */
export interface CommandIo {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Lines typed while the command runs; `undefined` without an interactive input. */
  readonly stdin: NodeJS.ReadableStream | undefined
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean | undefined }
  readonly stderr: { write(text: string): unknown }
  /** Calls back once when the process is asked to stop. */
  onStop(callback: () => void): void
}

/** Runs the `edge-sim` command until it is stopped; answers the exit status. */
export async function runCommand(io: CommandIo): Promise<number> {
  let options: CommandOptions | undefined
  try {
    options = readCommandOptions(io.argv)
  } catch (error) {
    io.stderr.write(`edge-sim: ${(error as Error).message}\nTry edge-sim --help.\n`)
    return 2
  }
  if (options === undefined) {
    io.stdout.write(USAGE)
    return 0
  }
  const paint = painter(io)
  const { json } = options
  const print = (text: string): void => void io.stdout.write(`${text}\n`)
  const onRequest = (entry: LogEntry): void =>
    print(json ? JSON.stringify({ request: entry }) : line(entry, paint))
  let sim: EdgeSim
  let tokens: Tokens
  try {
    sim = build(options, onRequest)
    tokens = addTokens(sim)
  } catch (error) {
    io.stderr.write(`edge-sim: ${(error as Error).message}\n`)
    return 2
  }
  // Set before anything is printed: a reader of the output may ask to stop immediately.
  let stop = (): void => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  io.onStop(stop)
  try {
    await sim.start()
  } catch (error) {
    io.stderr.write(`edge-sim: cannot listen on port ${options.port}: ${(error as Error).message}\n`)
    return 1
  }
  print(json ? JSON.stringify(summary(sim, options, tokens)) : welcome(sim, options, tokens, paint))
  if (io.stdin !== undefined) {
    createInterface({ input: io.stdin }).on('line', (text) => {
      if (text.trim() === 'quit') stop()
      else
        obey(sim, text.trim(), options.team).then(print, (error: Error) =>
          print(`edge-sim: ${error.message}`),
        )
    })
  }
  await stopped
  await sim.stop()
  return 0
}

interface Tokens {
  readonly valid: ServiceTokenCredentials
  readonly expired: ServiceTokenCredentials
  readonly disabled: ServiceTokenCredentials
}

function build(options: CommandOptions, onRequest: (entry: LogEntry) => void): EdgeSim {
  const { hosts, open, upstream, port, urls, idleCutMs, originSilenceMs } = options
  const switches = {
    managedOAuth: options.managedOAuth,
    singleHeader: options.singleHeader,
    sessionSeconds: options.sessionSeconds,
  }
  const sim = createEdgeSim({
    upstream,
    port,
    urls,
    idleCutMs,
    originSilenceMs,
    onRequest,
    teams: [{ name: options.team, strict: options.strict }],
    users: options.users.map((email) => ({ email })),
    applications: hosts.flatMap((host) => [
      {
        name: host,
        host,
        policies: [
          { action: 'service_auth' } as const,
          ...(options.serviceAuthOnly ? [] : [{ action: 'allow' } as const]),
        ],
        ...switches,
      },
      ...open.map((path) => ({
        name: `${host}${path}`,
        host,
        path,
        policies: [{ action: 'bypass' } as const],
      })),
    ]),
  })
  for (const fault of options.faults) sim.inject(fault)
  return sim
}

function addTokens(sim: EdgeSim): Tokens {
  const valid = sim.addServiceToken({ name: 'valid', form: 'cfast' })
  const expired = sim.addServiceToken({ name: 'expired', expiresAt: 0 })
  const disabled = sim.addServiceToken({ name: 'disabled', disabled: true })
  return { valid, expired, disabled }
}

function summary(sim: EdgeSim, options: CommandOptions, tokens: Tokens): Record<string, unknown> {
  return {
    url: sim.url,
    upstream: options.upstream,
    ...sim.team(options.team),
    localCertsUrl: `${sim.url}/cdn-cgi/access/certs`,
    applications: options.hosts.map((host) => sim.application(host)),
    users: options.users,
    serviceTokens: [tokens.valid, tokens.expired, tokens.disabled].map(
      ({ name, clientId, clientSecret }) => ({
        name,
        clientId,
        clientSecret,
      }),
    ),
  }
}

function welcome(sim: EdgeSim, options: CommandOptions, tokens: Tokens, paint: Paint): string {
  const team = sim.team(options.team)
  const first = options.hosts[0] ?? 'localhost'
  const { headers } = tokens.valid
  const token = ({ name, clientId, clientSecret }: ServiceTokenCredentials): string =>
    `  ${name.padEnd(14)} CF-Access-Client-Id: ${clientId}\n${' '.repeat(17)}CF-Access-Client-Secret: ${clientSecret}`
  return [
    paint('bold', `edge-sim: Cloudflare Access, simulated, in front of ${options.upstream}`),
    '',
    ...options.hosts.map(
      (host) => `  Application    http://${host}:${sim.port}/  AUD ${sim.application(host).aud}`,
    ),
    `  Issuer         ${team.issuer}`,
    `  Certs          http://${first}:${sim.port}/cdn-cgi/access/certs`,
    `  Users          ${options.users.join(', ')}`,
    '',
    'Service tokens, for this run only:',
    token(tokens.valid),
    token(tokens.expired),
    token(tokens.disabled),
    '',
    `  curl -H 'CF-Access-Client-Id: ${headers['CF-Access-Client-Id']}' \\`,
    `    -H 'CF-Access-Client-Secret: ${headers['CF-Access-Client-Secret']}' http://${first}:${sim.port}/`,
    '',
  ].join('\n')
}

/** Does what a typed line says and answers what to print. */
async function obey(sim: EdgeSim, text: string, team: string): Promise<string> {
  const [verb = '', argument = ''] = text.split(/\s+/, 2)
  switch (verb) {
    case '':
      return ''
    case 'fault':
      sim.inject(readFault(argument))
      return `fault ${argument} is on`
    case 'clear':
      sim.clearFaults()
      return 'all faults are off'
    case 'rotate':
      return `the current key is now ${await sim.rotateKeys(team)}`
    case 'strict':
      sim.configureTeam(team, { strict: argument !== 'off' })
      return `strict mode is ${argument === 'off' ? 'off' : 'on'}`
    case 'leaks':
      return sim.leaks.length === 0
        ? 'no secret reached a redirected host'
        : JSON.stringify(sim.leaks, undefined, 2)
    default:
      return `unknown: ${verb}; type fault <kind>, clear, rotate, strict on, strict off, leaks or quit`
  }
}

type Paint = (style: 'bold' | 'red' | 'green' | 'yellow', text: string) => string

function painter({ stdout, env }: CommandIo): Paint {
  const codes = { bold: 1, red: 31, green: 32, yellow: 33 }
  // https://no-color.org: any non-empty value counts.
  if (stdout.isTTY !== true || (env.NO_COLOR ?? '') !== '') return (_, text) => text
  return (style, text) => `\u001b[${codes[style]}m${text}\u001b[0m`
}

function line(entry: LogEntry, paint: Paint): string {
  const { status, outcome, method, host, path, upgrade, identity } = entry
  const style = status >= 400 || status === 0 ? 'red' : status >= 300 ? 'yellow' : 'green'
  const who = identity === undefined ? '' : ` as ${identity.kind} ${identity.id}`
  // Paths and user agents come from outside: nothing of them may steer a terminal.
  const target = `${host}${path}`.replace(/[^\x20-\x7e]/g, '?')
  return `${paint(style, String(status || '---'))} ${outcome} ${upgrade ? 'UPGRADE' : method} ${target}${who}`
}
