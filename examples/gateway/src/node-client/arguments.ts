import { hostname } from 'node:os'
import { parseArgs } from 'node:util'

/** The options of the command line and the environment. */
export interface Arguments {
  readonly url: URL
  /** Absent: the node proves its own key. */
  readonly token: string | 'stdin' | undefined
  readonly pair: Pairing | undefined
  readonly reconnect: boolean
  /** Headers for an edge in front of the gateway, sent with the upgrade. */
  readonly headers: Readonly<Record<string, string>>
  /** A warning to print before the start. */
  readonly warning: string | undefined
}

/** Options of a node that pairs. */
export interface Pairing {
  /** File of the key. */
  readonly identity: string
  readonly code: string | undefined
  readonly name: string
  /** Scopes that the node asks for, in addition to its role. */
  readonly scopes: readonly string[]
}

/** An invalid command line; the message names the remedy. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const help = `Connects to a gateway as a node and prints what happens.

  node dist/node-client.js [options] [url]

  url              where the gateway takes nodes; default: UPGATE_URL, else ws://127.0.0.1:8787/ws
  --token-stdin    read the token from the first line of standard input
  --token <token>  the token itself; other users of this machine can see it in the list of processes
  --pair           prove a key of its own instead of a token: the first time somebody has to approve it
  --identity <file>  where the key is kept, for this user only; default: upgate-node.json
  --name <name>    what the gateway's pages call it while it waits; default: the name of this machine
  --scopes <a,b>   what it would like to be allowed; it gets what is granted of it when it is approved
  --once           do not connect again after the connection was lost
  --help           this text

The token is taken from the environment variable UPGATE_TOKEN when no option gives it. The web pages of the gateway
show it once, when a device is created. With --pair, UPGATE_CODE may hold a code of these pages that lets the node ask.
Behind Cloudflare Access, CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET hold a service token; they are sent with the
upgrade, over wss:// only unless the gateway is on this machine.

Exit code: 0 after Ctrl+C, 1 when trying again is of no use (the output says why), 2 for a wrong command line.`

/**
 * Reads the command line.
 *
 * @returns `undefined` if only the help was requested
 * @throws {UsageError}
 */
export function readArguments(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Arguments | undefined {
  const { values, positionals } = parse(argv)
  if (values.help === true) return undefined
  if (positionals.length > 1) throw new UsageError(`One URL is enough; there are ${positionals.length}.`)
  const common = (): Pick<Arguments, 'url' | 'headers' | 'reconnect'> => {
    const url = readUrl(positionals[0] ?? env.UPGATE_URL ?? 'ws://127.0.0.1:8787/ws')
    const headers = readServiceToken(url, env.CF_ACCESS_CLIENT_ID, env.CF_ACCESS_CLIENT_SECRET)
    return { url, headers, reconnect: values.once !== true }
  }
  if (values['token-stdin'] === true && values.token !== undefined) {
    throw new UsageError('Give --token or --token-stdin, not both.')
  }
  if (values.pair === true) return { ...readPairing(values, env), ...common() }
  if (values.identity !== undefined || values.name !== undefined || values.scopes !== undefined) {
    throw new UsageError('--identity, --name and --scopes belong to --pair.')
  }
  const token = values['token-stdin'] === true ? 'stdin' : (values.token ?? env.UPGATE_TOKEN ?? '')
  if (token === '') {
    throw new UsageError('There is no token. Set UPGATE_TOKEN, or pipe the token in with --token-stdin.')
  }
  return {
    ...common(),
    token,
    pair: undefined,
    warning:
      values.token === undefined
        ? undefined
        : 'The token stands on the command line, where other users of this machine and the shell history can see it. Use UPGATE_TOKEN or --token-stdin instead.',
  }
}

function readPairing(
  values: ReturnType<typeof parse>['values'],
  env: Readonly<Record<string, string | undefined>>,
): Pick<Arguments, 'token' | 'pair' | 'warning'> {
  if (values.token !== undefined || values['token-stdin'] === true) {
    throw new UsageError('Give --pair or a token, not both.')
  }
  const { identity = 'upgate-node.json', name = hostname() } = values
  const code = env.UPGATE_CODE?.trim() || undefined
  const scopes = (values.scopes ?? '').split(',').filter((scope) => scope !== '')
  if (!scopes.every((scope) => /^[\w.:-]{1,128}$/.test(scope))) {
    throw new UsageError('--scopes takes names such as operator.read, separated by commas.')
  }
  return { token: undefined, pair: { identity, code, name, scopes }, warning: undefined }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        token: { type: 'string' },
        'token-stdin': { type: 'boolean' },
        pair: { type: 'boolean' },
        identity: { type: 'string' },
        name: { type: 'string' },
        scopes: { type: 'string' },
        once: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'The command line cannot be read.')
  }
}

function readUrl(text: string): URL {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new UsageError('The URL cannot be read; it looks like wss://gateway.example.com/ws.')
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') url.protocol = url.protocol.replace('http', 'ws')
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw new UsageError('The URL must begin with ws:// or wss://.')
  }
  // A secret in a URL ends up in the logs of every proxy on the way.
  if (url.username !== '' || url.password !== '')
    throw new UsageError('The URL must not carry a user or password.')
  url.hash = ''
  return url
}

function readServiceToken(
  url: URL,
  id: string | undefined,
  secret: string | undefined,
): Readonly<Record<string, string>> {
  if (!id && !secret) return {}
  if (!id || !secret) {
    throw new UsageError('CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET belong together; one is missing.')
  }
  if (url.protocol !== 'wss:' && !/^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname)) {
    throw new UsageError('A service token goes over wss:// only, unless the gateway is on this machine.')
  }
  return { 'CF-Access-Client-Id': id, 'CF-Access-Client-Secret': secret }
}
