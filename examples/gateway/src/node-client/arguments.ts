import { parseArgs } from 'node:util'

/** What the command line and the environment say. */
export interface Arguments {
  readonly url: URL
  readonly token: string | 'stdin'
  readonly reconnect: boolean
  /** Sent with the upgrade: what an edge in front of the gateway asks for. */
  readonly headers: Readonly<Record<string, string>>
  /** Something to say before starting. */
  readonly warning: string | undefined
}

/** A command line that cannot be used; the message says what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const help = `Connects to a gateway as a node and prints what happens.

  node dist/node-client.js [options] [url]

  url              where the gateway takes nodes; default: UPGATE_URL, else ws://127.0.0.1:8787/ws
  --token-stdin    read the token from the first line of standard input
  --token <token>  the token itself; other users of this machine can see it in the list of processes
  --once           do not connect again after the connection was lost
  --help           this text

The token is taken from the environment variable UPGATE_TOKEN when no option gives it. The web pages of the gateway
show it once, when a device is created. Behind Cloudflare Access, CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET
hold a service token; they are sent with the upgrade, over wss:// only unless the gateway is on this machine.

Exit code: 0 after Ctrl+C, 1 when trying again is of no use (the output says why), 2 for a wrong command line.`

/**
 * Reads the command line.
 *
 * @returns `undefined` when only the help was asked for
 * @throws {UsageError}
 */
export function readArguments(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Arguments | undefined {
  const { values, positionals } = parse(argv)
  if (values.help === true) return undefined
  if (positionals.length > 1) throw new UsageError(`One URL is enough; there are ${positionals.length}.`)
  if (values['token-stdin'] === true && values.token !== undefined) {
    throw new UsageError('Give --token or --token-stdin, not both.')
  }
  const token = values['token-stdin'] === true ? 'stdin' : (values.token ?? env.UPGATE_TOKEN ?? '')
  if (token === '') {
    throw new UsageError('There is no token. Set UPGATE_TOKEN, or pipe the token in with --token-stdin.')
  }
  const url = readUrl(positionals[0] ?? env.UPGATE_URL ?? 'ws://127.0.0.1:8787/ws')
  return {
    url,
    token,
    headers: readServiceToken(url, env.CF_ACCESS_CLIENT_ID, env.CF_ACCESS_CLIENT_SECRET),
    reconnect: values.once !== true,
    warning:
      values.token === undefined
        ? undefined
        : 'The token stands on the command line, where other users of this machine and the shell history can see it. UPGATE_TOKEN and --token-stdin keep it to yourself.',
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        token: { type: 'string' },
        'token-stdin': { type: 'boolean' },
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
