import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import {
  type ClientHandshake,
  type CredentialRequest,
  connect,
  connectHandshake,
  headerHandshake,
  upgateHandshake,
} from '@upgate/client'
import { seconds, usageMessage } from '../arguments.ts'
import { isLoopback, plainUrl, readTarget } from '../doctor/target.ts'
import { exitCodeOf } from '../exit-code.ts'
import { exits, type Io, UsageError } from '../io.ts'
import { readEdge } from '../read-edge.ts'
import { readSecret } from '../read-secret.ts'
import { nodeUsage } from '../usage.ts'
import { byFirstWords } from './by-first-words.ts'
import { defaultKeyPath, type KeyFile, openKeyFile } from './key-file.ts'
import { createNarrator } from './narrator.ts'

const handshakes = ['auto', 'connect', 'upgate', 'header'] as const

/** `upgate node <url>`: connects as a node, pairs if it has to, and stays connected. */
export async function nodeCommand(io: Io): Promise<number> {
  const { values, positionals } = parse(io.argv)
  if (values.help === true) {
    io.stdout.write(nodeUsage)
    return exits.fine
  }
  const [text, ...more] = positionals
  if (text === undefined)
    throw new UsageError('upgate node needs a URL, such as wss://gateway.example.com/ws')
  if (more.length > 0) throw new UsageError('upgate node takes one URL. Secrets never come from arguments.')
  const { url } = readTarget(text)
  if (url === undefined)
    throw new UsageError(
      'The URL must look like wss://gateway.example.com/ws, without user, password and fragment.',
    )
  const files = [values['token-file'], values['code-file'], values['edge-secret-file']]
  if (files.filter((file) => file === '-').length > 1)
    throw new UsageError('Only one secret can come from standard input.')
  const timeout = seconds('--timeout', values.timeout, 1, 600) * 1000
  const role = named('--role', values.role)
  const scopes = (values.scopes ?? '').split(',').filter((scope) => scope !== '')
  for (const scope of scopes) named('--scopes', scope)
  const name = displayName(values.name ?? hostname().slice(0, 64))

  const token = await readSecret(io, {
    option: '--token-file',
    file: values['token-file'],
    variable: 'UPGATE_TOKEN',
  })
  const code = await readSecret(io, {
    option: '--code-file',
    file: values['code-file'],
    variable: 'UPGATE_CODE',
  })
  if (token !== undefined && (code !== undefined || values['key-file'] !== undefined))
    throw new UsageError('Give a token, or a code and a key file, but not both.')
  const edge = await readEdge(io, values['edge-id'], values['edge-secret-file'])
  const file =
    token === undefined ? openKeyFile(values['key-file'] ?? defaultKeyPath(url, io.env), url) : undefined
  const handshake = handshakeOf(values.handshake, { role, scopes, name })
  if (values.handshake === 'header' && token === undefined)
    throw new UsageError('--handshake header needs a token: a key is proved in the first frame.')

  const now = io.clock?.now ?? Date.now
  const say = createNarrator(io, {
    json: values.json,
    // A kept token changes while this runs.
    secrets: () => [token, code, file?.token, file?.key.privateKey, edge?.clientId, edge?.clientSecret],
    now,
  })
  const exposed = url.protocol === 'ws:' && !isLoopback(url)
  const overPlain = values['dangerously-over-plain']
  if (exposed) {
    say({
      event: 'warning',
      text: `ws:// is not encrypted: every computer on the way can read the messages${overPlain ? ', and use the token or code that is sent' : ''}. Use wss://.`,
    })
  }
  if (file !== undefined) say({ event: 'key', file: file.path, isNew: file.isNew })
  const connection = connect(url, {
    credential:
      file === undefined
        ? (token ?? '')
        : credentialOf(file, { code, name, sendsToken: !exposed || overPlain }),
    ...(edge !== undefined && { edge }),
    handshake,
    timeout,
    reconnect: !values.once,
    dangerouslySendCredentialsOverPlain: overPlain,
    signal: io.signal,
    ...(io.clock !== undefined && { clock: io.clock }),
  })
  connection.on('state', (state) => {
    if (state.name === 'connecting')
      say({ event: 'connecting', url: plainUrl(url.href), attempt: state.attempt })
    else if (state.name === 'waiting')
      say({ event: 'waiting', seconds: Math.max(0, state.until - now()) / 1000 })
    else if (state.name === 'offline') say({ event: 'offline' })
  })
  connection.on('pairing', ({ comparisonCode }) => say({ event: 'pairing', comparisonCode }))
  connection.on('token', (issued) => {
    if (file === undefined) return
    file.keep(issued)
    say({ event: 'paired', file: file.path })
  })
  connection.on('accepted', ({ roles, scopes: granted, principal, expiresAt }) =>
    say({
      event: 'accepted',
      roles,
      scopes: granted,
      ...(principal !== undefined && { principal }),
      ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt).toISOString() }),
    }),
  )
  connection.on('message', (data) =>
    say(
      typeof data === 'string'
        ? { event: 'message', text: data }
        : { event: 'message', bytes: data.byteLength },
    ),
  )
  connection.on('failed', ({ diagnosis }) => {
    const { code: reason, layer, severity, title, evidence, cause, action, link, retry } = diagnosis
    say({
      event: 'failed',
      ...{ code: reason, layer, severity, title, evidence, cause, action, link, retry },
      ...(isSilent(handshake, reason) && {
        hint: 'The gateway did not speak first. Name its protocol with --handshake.',
      }),
    })
  })
  return new Promise((resolve) => {
    connection.on('closed', (error) => {
      const stopped = io.signal.aborted
      say({ event: 'closed', code: stopped ? undefined : error?.code })
      if (stopped) resolve(exits.interrupted)
      else resolve(error === undefined ? exits.fine : exitCodeOf(error.diagnosis))
    })
  })
}

/** The key, and its token. If they are refused, once more with the code alone: the token may be an old one. */
function credentialOf(
  file: KeyFile,
  {
    code,
    name,
    sendsToken,
  }: { readonly code: string | undefined; readonly name: string; readonly sendsToken: boolean },
) {
  return ({ reason }: CredentialRequest) => ({
    device: file.key,
    name,
    ...(file.token !== undefined && sendsToken && reason === 'connect' && { token: file.token }),
    ...(code !== undefined && { code }),
  })
}

function handshakeOf(
  wanted: string,
  {
    role,
    scopes,
    name,
  }: { readonly role: string; readonly scopes: readonly string[]; readonly name: string },
): ClientHandshake {
  const client = { id: 'upgate-node', platform: process.platform, mode: 'node', displayName: name }
  const wish = { role, ...(scopes.length > 0 && { scopes }) }
  switch (handshakes.find((each) => each === wanted)) {
    case 'auto':
      return byFirstWords({ ...wish, client })
    case 'connect':
      return connectHandshake({ ...wish, client })
    case 'upgate':
      return upgateHandshake(wish)
    case 'header':
      return headerHandshake()
    default:
      throw new UsageError(`--handshake must be one of ${handshakes.join(', ')}.`)
  }
}

/** Whether an attempt failed because both sides waited for the other one's first words. */
function isSilent(handshake: ClientHandshake, code: string): boolean {
  return (
    'heard' in handshake &&
    handshake.heard === false &&
    ['acknowledgement_missing', 'handshake_timeout', 'auth_required', 'close_unauthorized'].includes(code)
  )
}

function named(option: string, text: string): string {
  if (!/^[\w.:-]{1,128}$/.test(text))
    throw new UsageError(`${option} takes names such as operator.read, of letters, digits and ._:-`)
  return text
}

function displayName(text: string): string {
  const name = text.trim()
  if (name === '' || name.length > 64 || /[\p{C}|]/u.test(name))
    throw new UsageError('--name takes up to 64 printable characters without "|".')
  return name
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        'key-file': { type: 'string' },
        'code-file': { type: 'string' },
        'token-file': { type: 'string' },
        name: { type: 'string' },
        role: { type: 'string', default: 'node' },
        scopes: { type: 'string' },
        'edge-id': { type: 'string' },
        'edge-secret-file': { type: 'string' },
        handshake: { type: 'string', default: 'auto' },
        timeout: { type: 'string', default: '15' },
        once: { type: 'boolean', default: false },
        'dangerously-over-plain': { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw new UsageError(usageMessage(error))
  }
}
