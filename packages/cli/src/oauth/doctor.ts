import { isPublicAddress } from '@upgate/client'
import { clean, diagnose, type Observation } from '@upgate/diagnosis'
import { fail, type Outcome, pass, type Report, skip, unknown, type Verdict } from '../doctor/check.ts'
import { climb, type Progress, type Rung } from '../doctor/ladder.ts'
import { isLoopback, plainUrl } from '../doctor/target.ts'
import { hostOf, resolveName } from '../net/connect.ts'
import { type Facts, send } from '../net/get.ts'
import { isInnerAddress, publicLookup } from './lookup.ts'
import { type Document, listOf, readDocument, textOf, wellKnown } from './metadata.ts'

/** The targets and settings of `upgate doctor oauth`. */
export interface OAuthDoctorOptions {
  /** The protected resource, or the issuer. */
  readonly url: string
  /** Milliseconds for all checks. */
  readonly timeout: number
  readonly signal: AbortSignal
  readonly progress: Progress
}

/** `User-Agent` values of clients whose token exchange bot filters have swallowed, and of a browser. */
const libraries = ['node', 'python-httpx/0.28.1', 'Python/3.12 aiohttp/3.11.11'] as const
const browser =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36'
const perCheck = 10_000

/**
 * Looks at OAuth as a client does: the challenge of the resource, its metadata (RFC 9728), the authorization server's
 * (RFC 8414, OpenID Connect Discovery), what these say about each other, and whether the token endpoint answers libraries
 * as it answers browsers. It registers no client and sends no credential.
 */
export async function runOAuthDoctor(options: OAuthDoctorOptions): Promise<Report> {
  const { signal } = options
  const end = performance.now() + options.timeout
  const left = (): number => Math.round(end - performance.now())
  const limit = (): number => Math.max(1, Math.min(perCheck, left()))
  const url = readUrl(options.url)
  const start = url ?? new URL('https://invalid.invalid/')
  // Only a look into an inner network may be led around in it.
  let startIsInner = false

  const mayAsk = (target: URL): boolean => {
    if (target.username !== '' || target.password !== '') return false
    if (target.protocol !== 'https:' && !(target.protocol === 'http:' && startIsInner)) return false
    return startIsInner || !isInnerAddress(target)
  }
  const ask = (target: URL, more: { method?: 'POST'; body?: string; agent?: string } = {}): Promise<Facts> =>
    send({
      url: target,
      headers: {
        accept: 'application/json',
        ...(more.agent !== undefined && { 'user-agent': more.agent }),
        ...(more.body !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(more.method !== undefined && { method: more.method }),
      ...(more.body !== undefined && { body: more.body }),
      timeout: limit(),
      signal,
      ...(!startIsInner && { lookup: publicLookup }),
    })
  const verdictOn = (target: URL, facts: Observation): Verdict =>
    diagnose({ url: target.href, sent: { upgrade: false }, ...facts })

  let challenge: Facts = {}
  let resource: Document | undefined
  let issuer: string | undefined
  let server: Document | undefined
  let token: URL | undefined

  /** Finds the first document of several places. `blocked`: the first verdict that blames the edge or the network. */
  const find = async (
    places: readonly URL[],
    isOne: (document: Document) => boolean,
  ): Promise<{ found: Document | undefined; at: URL | undefined; blocked: Verdict | undefined }> => {
    let blocked: Verdict | undefined
    for (const place of places) {
      if (!mayAsk(place)) continue
      const facts = await ask(place)
      const document = readDocument(facts.response)
      if (document !== undefined && isOne(document)) return { found: document, at: place, blocked: undefined }
      const verdict = verdictOn(place, facts)
      if (/^edge|tunnel|^(?:dns|tcp|tls|http)$/.test(verdict.layer)) blocked ??= verdict
    }
    return { found: undefined, at: undefined, blocked }
  }

  const rungs: readonly Rung[] = [
    {
      id: 'url',
      title: 'URL',
      after: [],
      async run() {
        if (url === undefined)
          return fail(
            diagnose({ url: plainUrl(options.url), error: { name: 'SyntaxError', message: 'Invalid URL' } }),
          )
        const found = await resolveName(hostOf(url), limit())
        startIsInner =
          isLoopback(url) || ('addresses' in found && found.addresses.every((each) => !isPublicAddress(each)))
        if (url.protocol === 'http:' && !startIsInner)
          return fail(problem('oauth_plain_http', 'url', 'OAuth over plain http', insecure))
        return pass(plainUrl(url.href))
      },
    },
    {
      id: 'resource',
      title: 'Answer without a token',
      after: ['url'],
      async run() {
        challenge = await ask(start)
        const { response } = challenge
        if (response === undefined) return fail(verdictOn(start, challenge))
        const verdict = verdictOn(start, challenge)
        if (/^edge|^tunnel$/.test(verdict.layer)) return fail(verdict)
        const said = headerOf(response.headers, 'www-authenticate')
        return /^\s*bearer\b/i.test(said)
          ? pass(`status ${response.status}, with a Bearer challenge`)
          : unknown(`status ${response.status}, without a Bearer challenge: perhaps an authorization server`)
      },
    },
    {
      id: 'resource_metadata',
      title: 'Resource metadata',
      after: ['url'],
      async run() {
        const said = headerOf(challenge.response?.headers, 'www-authenticate')
        const named = /\bresource_metadata="([^"]{1,2048})"/i.exec(said)?.[1]
        const places = [
          ...(named !== undefined && URL.canParse(named) ? [new URL(named)] : []),
          ...wellKnown(start, 'oauth-protected-resource'),
        ]
        const { found, at, blocked } = await find(places, (document) =>
          Array.isArray(document.authorization_servers),
        )
        if (found === undefined) {
          if (blocked !== undefined) return fail(blocked)
          return /^\s*bearer\b/i.test(said)
            ? fail(
                problem(
                  'oauth_no_resource_metadata',
                  'origin-auth',
                  'The resource has no metadata',
                  noMetadata,
                ),
              )
            : unknown('none: taken for an authorization server')
        }
        resource = found
        const wrong = contradictsResource(found, start)
        if (wrong !== undefined)
          return fail(problem('oauth_resource_mismatch', 'origin-auth', wrong, mismatch))
        return pass(`${at === undefined ? '' : plainUrl(at.href)}`)
      },
    },
    {
      id: 'issuer_metadata',
      title: 'Authorization server metadata',
      after: ['url'],
      async run() {
        const said = listOf(resource?.authorization_servers)[0]
        issuer = said ?? start.href.replace(/\/$/, '')
        if (!URL.canParse(issuer) || !mayAsk(new URL(issuer))) {
          return fail(
            problem(
              'oauth_issuer_refused',
              'origin-auth',
              'The issuer in the metadata is no public https URL',
              refused,
            ),
          )
        }
        const base = new URL(issuer)
        const places = [
          ...wellKnown(base, 'oauth-authorization-server'),
          ...wellKnown(base, 'openid-configuration'),
          new URL(`${base.pathname.replace(/\/$/, '')}/.well-known/openid-configuration`, base),
        ]
        const { found, at, blocked } = await find(
          unique(places),
          (document) => textOf(document.issuer) !== undefined,
        )
        if (found === undefined) {
          return fail(
            blocked ??
              problem(
                'oauth_no_server_metadata',
                'origin-auth',
                'The authorization server has no metadata',
                noServer,
              ),
          )
        }
        server = found
        return pass(at === undefined ? '' : plainUrl(at.href))
      },
    },
    {
      id: 'consistency',
      title: 'Metadata against each other',
      after: ['issuer_metadata'],
      run() {
        const wrong = contradictions(server ?? {}, issuer ?? '', resource)
        if (wrong.length === 0) return pass('issuer, endpoints and PKCE agree')
        const [first = ''] = wrong
        return fail(problem('oauth_metadata_contradicts', 'origin-auth', first, contradicts, wrong))
      },
    },
    {
      id: 'token_endpoint',
      title: 'Token endpoint',
      after: ['issuer_metadata'],
      async run() {
        const said = textOf(server?.token_endpoint)
        if (said === undefined || !URL.canParse(said)) return skip('the metadata names none')
        token = new URL(said)
        if (!mayAsk(token))
          return fail(
            problem(
              'oauth_issuer_refused',
              'origin-auth',
              'The token endpoint is no public https URL',
              refused,
            ),
          )
        const answers: { agent: string; facts: Facts }[] = []
        // Without a code or a client: an authorization server answers `invalid_request`, and counts no guess.
        const body = 'grant_type=authorization_code'
        for (const agent of [...libraries, browser]) {
          answers.push({ agent, facts: await ask(token, { method: 'POST', body, agent }) })
        }
        return judgeToken(token, answers)
      },
    },
  ]
  const { checks, verdict } = await climb(rungs, { left, signal, progress: options.progress })
  return { target: plainUrl(options.url), checks, verdict: verdict ?? fine }
}

/** Whether the token endpoint speaks OAuth to all clients. */
function judgeToken(token: URL, answers: readonly { agent: string; facts: Facts }[]): Outcome {
  const last = answers.at(-1)
  const blocked = answers.slice(0, -1).find(({ facts }) => readDocument(facts.response)?.error === undefined)
  const browserAgent = last?.facts.response
  if (blocked === undefined) {
    const status = answers[0]?.facts.response?.status
    return pass(`answers libraries and browsers in JSON (status ${status})`)
  }
  const verdict = diagnose({
    url: token.href,
    sent: { upgrade: false },
    ...blocked.facts,
    ...(browserAgent !== undefined && { probes: { browserAgent } }),
  })
  if (verdict.severity === 'error' && verdict.layer !== 'origin-auth' && verdict.layer !== 'wrong-server')
    return fail({
      ...verdict,
      evidence: [{ name: 'user agent', value: clean(blocked.agent, 40) }, ...verdict.evidence],
    })
  return fail(
    problem(
      'oauth_token_endpoint_no_json',
      'origin-auth',
      'The token endpoint does not answer in the words of OAuth',
      noJson,
    ),
  )
}

function readUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const fits = url.protocol === 'https:' || url.protocol === 'http:'
  return fits && url.username === '' && url.password === '' ? url : undefined
}

function headerOf(headers: NonNullable<Facts['response']>['headers'], name: string): string {
  const value = headers?.[name]
  return (typeof value === 'string' ? value : (value?.[0] ?? '')).slice(0, 8192)
}

function unique(places: readonly URL[]): readonly URL[] {
  return [...new Map(places.map((place) => [place.href, place])).values()]
}

/** A sentence if the document is about another resource (RFC 9728 section 3.3). */
function contradictsResource(document: Document, url: URL): string | undefined {
  const said = textOf(document.resource)
  if (said === undefined || !URL.canParse(said)) return 'The resource metadata has no `resource`'
  const named = new URL(said)
  const covers =
    named.origin === url.origin &&
    (url.pathname === named.pathname || url.pathname.startsWith(named.pathname.replace(/\/?$/, '/')))
  return covers ? undefined : 'The resource metadata is about another resource'
}

/** Every contradiction between the documents, as a sentence. */
function contradictions(server: Document, issuer: string, resource: Document | undefined): readonly string[] {
  const same = (one: string, other: string): boolean => one.replace(/\/$/, '') === other.replace(/\/$/, '')
  const secure = (name: string): string[] => {
    const said = textOf(server[name])
    if (said === undefined) return []
    if (!URL.canParse(said)) return [`\`${name}\` is no URL`]
    const url = new URL(said)
    return url.protocol === 'https:' || isLoopback(url) ? [] : [`\`${name}\` is no https URL`]
  }
  const methods = listOf(server.code_challenge_methods_supported)
  const scopes = listOf(server.scopes_supported)
  const missing = listOf(resource?.scopes_supported).filter((scope) => !scopes.includes(scope))
  return [
    // RFC 8414 section 3.3: otherwise a client must not use it.
    ...(same(textOf(server.issuer) ?? '', issuer) ? [] : ['`issuer` differs from the issuer that was asked']),
    ...(textOf(server.authorization_endpoint) === undefined ? ['`authorization_endpoint` is missing'] : []),
    ...(textOf(server.token_endpoint) === undefined ? ['`token_endpoint` is missing'] : []),
    ...['authorization_endpoint', 'token_endpoint', 'registration_endpoint', 'jwks_uri'].flatMap(secure),
    ...(methods.includes('S256') ? [] : ['`code_challenge_methods_supported` lacks S256: clients refuse it']),
    ...(scopes.length > 0 && missing.length > 0
      ? [`the resource offers scopes that the server does not: ${clean(missing.slice(0, 5).join(', '), 120)}`]
      : []),
  ]
}

interface Advice {
  readonly cause: string
  readonly action: string
}
const insecure: Advice = {
  cause: 'Tokens over http can be read by everybody on the way, and clients refuse it.',
  action: 'Use the https URL.',
}
const noMetadata: Advice = {
  cause: 'The 401 names no readable document, and there is none at its well-known places (RFC 9728).',
  action:
    'Serve /.well-known/oauth-protected-resource, with the path of the resource appended; open it in the rules (`oauthRules` of upgate/oauth does both).',
}
const mismatch: Advice = {
  cause:
    'Clients compare `resource` with the URL that they were given, and stop where they differ (RFC 9728 section 3.3).',
  action: 'Set `resource` to the public URL of the resource: scheme, host, port and path.',
}
const noServer: Advice = {
  cause: 'None of the well-known places of the issuer has a document (RFC 8414, OpenID Connect Discovery).',
  action:
    'Compare the issuer in `authorization_servers` with the server; open its well-known paths at the edge and in the rules.',
}
const refused: Advice = {
  cause:
    'A document names a URL that is not https, or that leads into an inner network. The doctor does not go there.',
  action: 'Name public https URLs in the metadata.',
}
const contradicts: Advice = {
  cause: 'The documents contradict each other, and clients stop at the first contradiction.',
  action: 'Correct the metadata of the authorization server; the evidence has every contradiction.',
}
const noJson: Advice = {
  cause:
    'An OAuth error has a JSON body with `error` (RFC 6749 section 5.2). Something else answered in its place.',
  action: 'See which server answers a POST at the token endpoint, and open the path in the rules.',
}

function problem(
  code: string,
  layer: Verdict['layer'],
  title: string,
  advice: Advice,
  evidence: readonly string[] = [],
): Verdict {
  return {
    code,
    layer,
    severity: 'error',
    title,
    ...advice,
    link: undefined,
    evidence: evidence.map((value) => ({ name: 'metadata', value })),
  }
}

const fine: Verdict = {
  code: 'connected',
  layer: 'protocol',
  severity: 'info',
  title: 'An OAuth client finds its way',
  cause: 'Nothing is wrong as far as it was looked at.',
  action: 'Nothing.',
  link: undefined,
  evidence: [],
}
