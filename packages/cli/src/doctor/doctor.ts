import type { LookupFunction } from 'node:net'
import { connectHandshake, headerHandshake, upgateHandshake } from '@upgate/client'
import { clean, type Diagnosis, diagnose, type Observation, withoutSecrets } from '@upgate/diagnosis'
import { hostOf, portOf, resolveName, tryPort, tryTls } from '../net/connect.ts'
import { type Facts, send } from '../net/get.ts'
import { fail, type Outcome, pass, type Report, skip, unknown, type Verdict } from './check.ts'
import { authenticate, stayIdle } from './credential.ts'
import { climb, type Progress, type Rung, worse } from './ladder.ts'
import { isLoopback, plainUrl, readTarget } from './target.ts'
import { type Opening, openSocket } from './upgrade.ts'
import { describeServer } from './who.ts'

/** The target and settings of `upgate doctor`. */
export interface DoctorOptions {
  readonly url: string
  /** A token of the gate: an API key, a device token, a session token or a shared token. */
  readonly token?: string | undefined
  readonly cookie?: string | undefined
  readonly edge?: { readonly clientId: string; readonly clientSecret: string } | undefined
  readonly handshake: 'auto' | 'upgate' | 'connect' | 'header'
  readonly origin?: string | undefined
  /** Whether Cloudflare Access should protect the path. */
  readonly expectEdge: boolean
  /** Seconds of silence to try; 0 = not at all. */
  readonly idle: number
  /** Milliseconds for all checks but the last. */
  readonly timeout: number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
  readonly progress: Progress
  /** Certificates of private authorities, in PEM. */
  readonly ca?: string | undefined
  /** Resolves names. Default: the system's resolver. */
  readonly lookup?: LookupFunction | undefined
  /** Milliseconds since the epoch. Default: this computer's clock. */
  readonly now?: () => number
}

/** `User-Agent` values of the two looks at a bot filter. */
const agents = {
  library: undefined,
  browser:
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
} as const
/** For one check, in milliseconds. */
const perCheck = 10_000

/**
 * Looks at every layer between this computer and the application, from the URL to an idle connection, and names the first
 * one that is at fault.
 *
 * It creates no device and no pairing request, consumes no ticket, sends no credential that could be guessed, and
 * follows no redirect. A credential that it sends counts as any other: repeated wrong ones are slowed down.
 */
export async function runDoctor(options: DoctorOptions): Promise<Report> {
  const { token, cookie, edge, origin, signal, ca, lookup, now = Date.now } = options
  const network = { ...(ca !== undefined && { ca }), ...(lookup !== undefined && { lookup }) }
  const end = performance.now() + options.timeout
  const left = (): number => Math.round(end - performance.now())
  const limit = (): number => Math.max(1, Math.min(perCheck, left()))
  const secrets = [token, cookie, edge?.clientId, edge?.clientSecret].filter((each) => each !== undefined)
  const target = readTarget(options.url)
  const url = target.url ?? new URL('ws://invalid.invalid')
  const secure = url.protocol === 'wss:'
  const edgeHeaders =
    edge === undefined
      ? {}
      : { 'cf-access-client-id': edge.clientId, 'cf-access-client-secret': edge.clientSecret }
  const known = { url: url.href, expected: { edge: options.expectEdge } }

  const verdictOn = (observation: Observation): Diagnosis =>
    diagnose(withoutSecrets({ ...known, ...observation }, secrets))
  const get = async (headers: Readonly<Record<string, string | undefined>>): Promise<Facts> => {
    const facts = await send({
      url: httpUrl(url),
      headers: {
        accept: '*/*',
        ...Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)),
      } as Record<string, string>,
      timeout: limit(),
      signal,
      ...network,
    })
    // At once: `Server` and the like are printed without a diagnosis.
    return withoutSecrets(facts, secrets)
  }

  let address = ''
  let bare: Facts = {}
  let admitted: Facts = {}
  let opening: Opening | undefined
  let session: Awaited<ReturnType<typeof authenticate>> | undefined

  const rungs: readonly Rung[] = [
    {
      id: 'url',
      title: 'URL',
      after: [],
      run: () =>
        target.url === undefined
          ? fail(diagnose(target.observation))
          : pass(`${url.protocol.slice(0, -1)}, port ${portOf(url)}, path ${clean(url.pathname, 80)}`),
    },
    {
      id: 'proxy_environment',
      title: 'Proxy of this computer',
      after: ['url'],
      run: () => proxyEnvironment(options.env, hostOf(url), secure),
    },
    {
      id: 'dns',
      title: 'Name',
      after: ['url'],
      async run() {
        const found = await resolveName(hostOf(url), limit(), lookup)
        if ('error' in found) return fail(verdictOn({ reached: 'nothing', error: found.error }))
        address = found.addresses[0] ?? ''
        return pass(found.addresses.slice(0, 4).join(', '))
      },
    },
    {
      id: 'tcp',
      title: 'TCP connection',
      after: ['dns'],
      async run() {
        const found = await resolveName(hostOf(url), limit(), lookup)
        const all = 'addresses' in found ? found.addresses.slice(0, 4) : [address]
        const tried: string[] = []
        let first: Awaited<ReturnType<typeof tryPort>>
        for (const each of all) {
          const error = await tryPort(each, portOf(url), Math.min(limit(), 5000))
          if (error === undefined) {
            address = each
            return pass(
              `${each} port ${portOf(url)}${tried.length > 0 ? `; ${tried.join(', ')} did not answer` : ''}`,
            )
          }
          first ??= error
          tried.push(each)
        }
        return fail(verdictOn({ reached: 'dns', ...(first !== undefined && { error: first }) }))
      },
    },
    {
      id: 'tls',
      title: 'TLS and certificate',
      after: ['tcp'],
      async run() {
        if (!secure) return pass('none: ws:// is not encrypted')
        const { error, tls } = await tryTls({ host: hostOf(url), address, port: portOf(url), ca }, limit())
        if (error !== undefined) return fail(verdictOn({ reached: 'tcp', error, tls }))
        const ends = tls.validTo === undefined ? '' : `, valid until ${clean(tls.validTo, 40)}`
        return pass(`${clean(tls.protocol ?? 'TLS', 20)}, ${clean(tls.subject ?? '', 60)}${ends}`)
      },
    },
    {
      id: 'http',
      title: 'HTTP answer',
      after: ['tls'],
      async run() {
        bare = await get({ 'user-agent': agents.library })
        if (bare.response !== undefined) return pass(`status ${bare.response.status}`)
        // Servers that speak TLS reset a connection on which plain text arrives: a TLS handshake tells.
        const tls =
          secure || bare.error?.code !== 'ECONNRESET'
            ? undefined
            : await tryTls({ host: hostOf(url), address, port: portOf(url) }, Math.min(limit(), 3000))
        const probes =
          tls !== undefined && (tls.error === undefined || tls.tls.issuer !== undefined)
            ? { probes: { tls: 'answered' as const } }
            : {}
        return fail(verdictOn({ ...bare, ...probes }))
      },
    },
    {
      id: 'server',
      title: 'Server that answered',
      after: ['http'],
      run: () => describeServer(bare.response),
    },
    {
      id: 'edge',
      title: 'Admission at the edge',
      after: ['http'],
      async run() {
        const without = verdictOn({ sent: { upgrade: false, credentials: [] }, ...bare })
        const blocked = without.layer === 'edge-access'
        if (edge === undefined) {
          if (blocked) return fail(without)
          if (options.expectEdge) return fail(verdictOn({ ...bare, sent: { upgrade: true } }))
          return pass('nothing in front asks for a login')
        }
        if (!secure && !isLoopback(url)) return fail(verdictOn({ error: { code: 'edge_secret_over_plain' } }))
        admitted = await get({ ...edgeHeaders, 'user-agent': agents.library })
        const sent = { upgrade: false, credentials: ['edge_service_token' as const] }
        const now = verdictOn({ sent, ...admitted })
        if (now.layer === 'edge-access') return fail(now)
        return pass(
          blocked
            ? `admitted with the service token; without it: ${without.code}`
            : 'nothing in front asks for a login, with or without the service token',
        )
      },
    },
    {
      id: 'bot_filter',
      title: 'Bot filter',
      after: ['http'],
      async run() {
        const mayKnow = secure || isLoopback(url)
        const seen = mayKnow ? edgeHeaders : {}
        const library = edge !== undefined && mayKnow ? await get({ ...seen }) : bare
        const browser = await get({ ...seen, 'user-agent': agents.browser, 'accept-language': 'en' })
        const observation = {
          sent: { upgrade: false },
          ...library,
          ...(browser.response !== undefined && { probes: { browserAgent: browser.response } }),
        }
        const verdict = verdictOn(observation)
        if (verdict.layer === 'edge-bot') return fail(verdict)
        const [one, other] = [library.response?.status, browser.response?.status]
        if (one === undefined || other === undefined) return unknown('one of the two requests got no answer')
        return one === other
          ? pass(`a library and a browser get the same answer (${one})`)
          : pass(`a library gets ${one}, a browser ${other}; neither is a bot filter's answer`)
      },
    },
    {
      id: 'upgrade',
      title: 'Upgrade to WebSocket',
      after: ['http'],
      async run() {
        const sendsEdge = edge !== undefined && (secure || isLoopback(url))
        const headers = {
          ...(sendsEdge && edgeHeaders),
          ...(origin !== undefined && { origin }),
        }
        opening = await openSocket(url.href, { headers, timeout: limit(), signal, secrets, network })
        const plain = (sendsEdge ? admitted : bare).response
        const verdict = verdictOn({
          ...opening.observation,
          sent: { upgrade: true, credentials: sendsEdge ? ['edge_service_token'] : [] },
          // The plain GET of the checks before: where the gate answers it, only the upgrade is lost.
          ...(plain !== undefined && { probes: { http: plain } }),
        })
        if (opening.opened) return pass('101: the WebSocket opened')
        if (wantsCredential(verdict)) {
          return pass(`arrived at the gate, which wants a credential with the upgrade (${verdict.code})`)
        }
        return fail(verdict)
      },
    },
    {
      id: 'challenge',
      title: 'First words in band',
      after: ['upgrade'],
      run() {
        if (opening?.opened !== true) return skip('the gate wants the credential with the upgrade')
        if (opening.closed !== undefined) {
          const verdict = verdictOn({ ...opening.observation, sent: { upgrade: true, credentials: [] } })
          return wantsCredential(verdict)
            ? pass(`the server closed the socket without a credential (${verdict.code})`)
            : fail(verdict)
        }
        return pass(firstWords(opening.frames))
      },
    },
    {
      id: 'credential',
      title: 'Credential',
      after: ['upgrade'],
      async run() {
        if (token === undefined && cookie === undefined) {
          const verdict = opening === undefined ? undefined : verdictOn(opening.observation)
          return verdict !== undefined && verdict.severity === 'error' && wantsCredential(verdict)
            ? fail(verdict)
            : skip('none was given (--token-file, UPGATE_TOKEN)')
        }
        if (!secure && !isLoopback(url)) {
          return unknown('a credential goes over wss:// or to this computer only')
        }
        session = await authenticate(url.href, {
          token,
          cookie,
          edge,
          origin,
          handshake: handshakeFor(options.handshake, opening),
          timeout: limit(),
          signal,
          network,
        })
        if (session.diagnosis === undefined) return pass(session.summary)
        return aboutAuthorisation.has(session.diagnosis.code)
          ? pass('verified; what it may do is the next check')
          : fail(session.diagnosis)
      },
    },
    {
      id: 'authorisation',
      title: 'Authorisation',
      after: ['credential'],
      run() {
        if (session === undefined) return skip('needs: credential')
        return session.diagnosis === undefined ? pass(session.granted) : fail(session.diagnosis)
      },
    },
    {
      id: 'clock',
      title: 'Clocks',
      after: ['http'],
      run() {
        const date = Date.parse(String(bare.response?.headers?.date ?? ''))
        if (Number.isNaN(date)) return unknown('the server does not say what time it is')
        const verdict = verdictOn({ times: { at: now(), server: date } })
        const apart = Math.round(Math.abs(now() - date) / 1000)
        // If it kept a credential from counting, that check failed with an error; otherwise nothing is broken.
        return verdict.code === 'clock_skew'
          ? fail({ ...verdict, severity: 'warning' })
          : pass(`${apart} s apart`)
      },
    },
  ]
  const { checks, verdict } = await climb(rungs, { left, signal, progress: options.progress })
  const idle = await climb(
    [
      {
        id: 'idle',
        title: 'Silence',
        after: [],
        run(): Outcome | Promise<Outcome> {
          if (options.idle === 0) return skip('not asked for (--idle)')
          if (verdict?.severity === 'error') return skip('needs a connection')
          return session === undefined
            ? skip('needs a credential: an unauthenticated socket is closed after seconds')
            : stayIdle(session, options.idle, signal)
        },
      },
    ],
    { left: () => 1, signal, progress: options.progress },
  )
  session?.close()
  return {
    target: plainUrl(options.url),
    verdict: worse(verdict, idle.verdict) ?? fine(session !== undefined),
    checks: [...checks, ...idle.checks],
  }
}

/** Verdicts on a credential that counts, and does not suffice. */
const aboutAuthorisation: ReadonlySet<string> = new Set([
  'kind_not_allowed',
  'scheme_not_allowed',
  'insufficient_scope',
  'role_required',
  'principal_mismatch',
  'edge_mismatch',
])

/** Whether a server refused only because no credential was sent. */
function wantsCredential({ code, layer }: Diagnosis): boolean {
  return (
    [
      'auth_required',
      'handshake_timeout',
      'close_unauthorized',
      'other_server_auth',
      'bad_handshake',
    ].includes(code) &&
    (layer === 'origin-auth' || layer === 'protocol' || layer === 'wrong-server')
  )
}

function httpUrl(url: URL): URL {
  const same = new URL(url)
  same.protocol = url.protocol === 'wss:' ? 'https:' : 'http:'
  return same
}

function handshakeFor(
  wanted: DoctorOptions['handshake'],
  opening: Opening | undefined,
): Parameters<typeof authenticate>[1]['handshake'] {
  if (wanted === 'header') return headerHandshake()
  if (wanted === 'connect') return connectHandshake()
  if (wanted === 'upgate') return upgateHandshake()
  // No 101 without a credential: it has to be in a header.
  if (opening?.opened !== true) return headerHandshake()
  return opening.frames.some((frame) => frame.includes('"connect.challenge"'))
    ? connectHandshake()
    : upgateHandshake()
}

function firstWords(frames: readonly string[]): string {
  const [first] = frames
  if (first === undefined) return 'the server waits for the first frame of the client'
  const name = /"(?:event|type|method)"\s*:\s*"([\w.:-]{1,64})"/.exec(
    first.replace(/"type"\s*:\s*"event"/, ''),
  )?.[1]
  return name === undefined ? 'the server speaks first' : `the server speaks first: ${clean(name, 64)}`
}

function proxyEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  host: string,
  secure: boolean,
): Outcome {
  const names = [...(secure ? ['HTTPS_PROXY', 'https_proxy'] : ['HTTP_PROXY', 'http_proxy']), 'ALL_PROXY']
  const set = names.find((name) => (env[name] ?? '') !== '')
  if (set === undefined) return pass('none is configured')
  const spared = (env.NO_PROXY ?? env.no_proxy ?? '').split(/[\s,]+/).filter((each) => each !== '')
  const isSpared = spared.some((each) => {
    const suffix = each.replace(/^\*?\./, '').replace(/:\d+$/, '')
    return each === '*' || host === suffix || host.endsWith(`.${suffix}`)
  })
  return isSpared
    ? pass(`${set} is set, and NO_PROXY covers this host`)
    : unknown(`${set} is set; WebSocket clients on Node ignore it, and so do these checks`)
}

function fine(hadCredential: boolean): Verdict {
  const { code, layer, severity, cause } = diagnose({ reached: hadCredential ? 'accepted' : 'open' })
  return {
    code,
    layer,
    severity,
    cause,
    title: hadCredential ? 'The connection works' : 'The way is clear up to the credential',
    action: hadCredential
      ? 'Nothing.'
      : 'Nothing on the way; give a credential (--token-file) to check it, too.',
    link: undefined,
    evidence: [],
  }
}
