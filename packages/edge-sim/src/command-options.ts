import { parseArgs } from 'node:util'
import { integer, oneOf } from './check.ts'
import { FAULT_KINDS, type Fault, type FaultKind } from './faults.ts'
import type { Urls } from './world.ts'

/** The text of `edge-sim --help`. */
export const USAGE: string = `Usage: edge-sim --upstream <origin> [options]

Cloudflare's edge with Access, simulated on loopback, in front of a local server.
Prints service tokens and test users, then one line per request.

  -u, --upstream <origin>    Loopback origin, such as http://127.0.0.1:8787 (required)
  -p, --port <port>          Port to listen on (default 8788; 0 takes a free one)
      --host <name>          Host that Access protects; may be repeated (default localhost)
      --open <path>          Path with a Bypass policy; may be repeated
      --team <name>          Team name (default acme)
      --user <email>         Test user; may be repeated (default anna@ and bob@example.com)
      --urls <kind>          Where redirects lead: loopback, for a browser on this machine
                             (default), or cloudflare, the real names
      --strict               Strict service-token mode: 401 and 403, never a redirect
      --service-auth-only    No Allow policy: only service tokens get in
      --managed-oauth        Managed OAuth: 401 Bearer for everything but a browser
      --single-header        Service tokens in one Authorization header, too
      --session <seconds>    Life of sessions and tokens (default 86400)
      --idle-cut <seconds>   Silence after which a WebSocket is cut (default 100)
      --silence <seconds>    Silence of the origin after which the edge answers 524 (default 100)
      --fault <kind>         Fault to start with; may be repeated; see below
      --json                 Print one JSON object at the start, then one per request
  -h, --help                 Print this and exit

Faults: ${FAULT_KINDS.join(', ')}
With a value: rate-limit=<seconds>, challenge=<part of a user agent>, origin-error=<521-526>,
reset=<bytes>, jwks=<error|silence|redirect|oversize|html>

While it runs, type: fault <kind>, clear, rotate, strict on, strict off, leaks, quit.
Exit status: 0 when stopped, 1 when it could not start, 2 for wrong usage.
NO_COLOR switches colours off.
`

/** The options of the command, checked. */
export interface CommandOptions {
  readonly upstream: string
  readonly port: number
  readonly hosts: readonly string[]
  readonly open: readonly string[]
  readonly team: string
  readonly users: readonly string[]
  readonly urls: Urls
  readonly strict: boolean
  readonly serviceAuthOnly: boolean
  readonly managedOAuth: boolean
  readonly singleHeader: boolean
  readonly sessionSeconds: number
  readonly idleCutMs: number
  readonly originSilenceMs: number
  readonly faults: readonly Fault[]
  readonly json: boolean
}

/** Reads the command line; `undefined` means that help was asked for. Wrong usage throws a `TypeError`. */
export function readCommandOptions(argv: readonly string[]): CommandOptions | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      upstream: { type: 'string', short: 'u' },
      port: { type: 'string', short: 'p', default: '8788' },
      host: { type: 'string', multiple: true, default: ['localhost'] },
      open: { type: 'string', multiple: true, default: [] },
      team: { type: 'string', default: 'acme' },
      user: { type: 'string', multiple: true, default: ['anna@example.com', 'bob@example.com'] },
      urls: { type: 'string', default: 'loopback' },
      strict: { type: 'boolean', default: false },
      'service-auth-only': { type: 'boolean', default: false },
      'managed-oauth': { type: 'boolean', default: false },
      'single-header': { type: 'boolean', default: false },
      session: { type: 'string', default: '86400' },
      'idle-cut': { type: 'string', default: '100' },
      silence: { type: 'string', default: '100' },
      fault: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return undefined
  if (values.upstream === undefined)
    throw new TypeError('--upstream is required, such as http://127.0.0.1:8787')
  return {
    upstream: values.upstream,
    port: integer('--port', number(values.port), 0, 65_535),
    hosts: values.host,
    open: values.open,
    team: values.team,
    users: values.user,
    urls: oneOf('--urls', values.urls, ['loopback', 'cloudflare']),
    strict: values.strict,
    serviceAuthOnly: values['service-auth-only'],
    managedOAuth: values['managed-oauth'],
    singleHeader: values['single-header'],
    sessionSeconds: integer('--session', number(values.session), 1, 2_678_400),
    idleCutMs: integer('--idle-cut', number(values['idle-cut']), 1, 3_600) * 1000,
    originSilenceMs: integer('--silence', number(values.silence), 1, 3_600) * 1000,
    faults: values.fault.map(readFault),
    json: values.json,
  }
}

/** Reads a fault as the command line writes it: a kind, with `=value` where it takes one. */
export function readFault(text: string): Fault {
  const at = text.indexOf('=')
  const kind: FaultKind = oneOf('--fault', at < 0 ? text : text.slice(0, at), FAULT_KINDS)
  const value = at < 0 ? undefined : text.slice(at + 1)
  switch (kind) {
    case 'rate-limit':
      return { kind, retryAfter: integer('--fault rate-limit', number(value ?? '30'), 0, 86_400) }
    case 'challenge':
      return value === undefined ? { kind } : { kind, when: { userAgents: [value] } }
    case 'origin-error':
      return { kind, status: integer('--fault origin-error', number(value ?? '521'), 521, 526) as 521 }
    case 'reset':
      return { kind, afterBytes: integer('--fault reset', number(value ?? '0'), 0, 2 ** 31) }
    case 'jwks': {
      const modes = ['error', 'silence', 'redirect', 'oversize', 'html'] as const
      return { kind, mode: oneOf('--fault jwks', value ?? 'error', modes) }
    }
    default:
      if (value !== undefined) throw new TypeError(`--fault ${kind} takes no value`)
      return { kind }
  }
}

/** The number, or the text as it is, which the check of its range will name. */
function number(text: string): number | string {
  return /^\d+$/.test(text) ? Number(text) : text
}
