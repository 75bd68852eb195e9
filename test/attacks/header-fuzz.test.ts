/*
 * Requests with random headers, cookies and targets, to a gate with each kind of credential: no exception, no answer outside the
 * catalogue, no request let in without a credential that is in the request, in a place where it counts, and no secret in an answer,
 * event or log. `UPGATE_FUZZ=100` sends a hundred times as many (about ten minutes), `UPGATE_SEED=7` others.
 */
import { IncomingMessage } from 'node:http'
import { type Principal, refusalCodes } from 'upgate'
import { decide, explain, requestOf } from 'upgate/node'
import { afterEach, expect, it } from 'vitest'
import { type EveryScheme, type Known, origin, Peer, proxyAddress, startEveryScheme } from './every-scheme.ts'
import { cases, createRandom, type Random, seed, timeFor } from './random.ts'
import { asQuestion, bytesOf, type WrittenRequest, writeRequest } from './random-headers.ts'

const requests = cases(1_500)
/** Requests to one gate: its clock must not outlive the tokens. */
const toOneGate = 2_000
const codes: ReadonlySet<string> = new Set(refusalCodes)
/** Refusals of requests that are none to Node's parser, and of handshakes that `ws` reads more strictly. */
const ofNodeOrWs =
  /^HTTP\/1\.1 4\d\d [\w ]+\r\nConnection: close\r\n(?:Content-Type: text\/html\r\nContent-Length: \d+\r\n\r\nInvalid [\w -]+|\r\n)$/
const proxies = ['nginx', 'caddy', 'traefik']

let t: EveryScheme
afterEach(() => t.close())

/** Why a request may be that of a principal, by a reading of its own; an empty text if it may not. */
function whyMay(
  id: string,
  written: WrittenRequest,
  address: string,
  known: readonly Known[],
  isSocket: boolean,
): string {
  const values = (wanted: string): string[] =>
    written.headers
      .filter(([name]) => name.toLowerCase() === wanted)
      .map(([, value]) => value.replace(/^[ \t]+|[ \t]+$/g, ''))
  const cookies = values('cookie')
    .join(';')
    .split(';')
    .map((pair) => pair.replace(/^ +| +$/g, ''))
  const authorization = values('authorization').filter(
    (value) => value !== '' && !/^basic(?:[ \t]|$)/i.test(value),
  )
  const protocol = values('sec-websocket-protocol').filter((value) =>
    value.includes('base64url.bearer.authorization.k8s.io.'),
  )
  const explicit = [authorization, values('x-api-key').filter((value) => value !== '')]
  // Two of one name, and one of each: neither counts.
  if (explicit.flat().length > 1) return ''
  if (values('authorization').length > 1 || values('x-api-key').length > 1) return ''
  // A ticket is explicit, too, good or bad.
  if (isSocket && explicit.flat().length > 0 && /[?&]ticket=/.test(written.target)) return ''
  const [bearer] = authorization
  const token = bearer === undefined ? undefined : /^bearer +(.*)$/i.exec(bearer)?.[1]?.replace(/^ +/, '')
  const mine = known.filter(({ principal }) => principal === id)
  const [key] = values('x-api-key')
  if (key !== undefined && key !== '')
    return mine.some(({ header, secret }) => header === 'x-api-key' && key === secret) ? 'key' : ''
  if (bearer !== undefined)
    return mine.some((one) => one.bearer === true && one.secret === token) ? 'bearer' : ''
  const ticket = mine.find(
    ({ header, cookie, bearer }) => header === undefined && cookie === undefined && bearer === undefined,
  )
  if (ticket !== undefined && isSocket) {
    const offered = Buffer.from(ticket.secret).toString('base64url')
    if (
      protocol.some((value) => value.includes(offered)) ||
      written.target.includes(`ticket=${ticket.secret}`)
    )
      return 'ticket'
  }
  const site = values('sec-fetch-site')[0] ?? ''
  const [page = ''] = values('origin')
  const isSafe = !isSocket && ['GET', 'HEAD', 'OPTIONS'].includes(written.method)
  const isOurs =
    page === ''
      ? site === '' || site === 'same-origin' || site === 'none'
      : page === origin || (page === 'null' && site === 'same-origin')
  if (isSocket ? page !== origin : !isSafe && !isOurs)
    return mine.some(({ principal }) => principal === 'robot.access') ? 'robot' : ''
  if (
    mine.some(
      ({ header, secret }) => header === 'cf-access-jwt-assertion' && values(header).join() === secret,
    )
  )
    return 'assertion'
  if (mine.some(({ cookie, secret }) => cookie !== undefined && cookies.includes(`${cookie}=${secret}`)))
    return 'cookie'
  const users = values('remote-user')
  return id === 'root' && address === proxyAddress && users.length === 1 && users[0] === 'root' ? 'proxy' : ''
}

/** The principal that the application saw, by an answer; `undefined` if it was none. */
function seenBy(answer: string): Principal | undefined {
  const seen = /^seen: (.*)\r$/m.exec(answer)?.[1]
  const principal = seen === undefined ? null : (JSON.parse(decodeURIComponent(seen)) as Principal | null)
  if (principal !== null) return principal
  const remote = /^Remote-(?:User|Device|Service): (.+)\r$/m.exec(answer)?.[1]
  return remote === undefined ? undefined : ({ id: remote } as Principal)
}

const isSocket = ({ headers }: WrittenRequest): boolean =>
  headers.some(
    ([name, value]) => name.toLowerCase() === 'upgrade' && /(?:^|,)[ \t]*websocket[ \t]*(?:,|$)/i.test(value),
  )

/** Sends one request in a random way. Returns the ids of those it was let in as. */
async function sendOne(
  random: Random,
  written: WrittenRequest,
  address: string,
): Promise<{ ids: string[]; answer: string }> {
  const way = random.below(6)
  if (way === 0) {
    // As an object, with whatever Node's parser itself would refuse.
    const native = new IncomingMessage(new Peer(address) as never)
    native.method = written.method
    native.url = written.target
    const raw = written.headers.flat()
    ;(native as unknown as { _addHeaderLines(raw: readonly string[], n: number): void })._addHeaderLines(
      raw,
      raw.length,
    )
    if (random.oneIn(4)) {
      const explained = await explain(t.gate, native)
      return { ids: [], answer: JSON.stringify(explained) }
    }
    const decision = await decide(t.gate, native)
    if (decision.outcome === 'allow')
      return { ids: decision.principal ? [decision.principal.id] : [], answer: '' }
    if (decision.outcome === 'defer')
      return { ids: decision.httpPrincipal ? [decision.httpPrincipal.id] : [], answer: '' }
    return { ids: [], answer: JSON.stringify(t.gate.render(decision, requestOf(native))) }
  }
  const before = t.accepted.length
  const server = way === 1 ? random.pick(proxies) : way === 2 ? 'plain' : 'guarded'
  const asked = proxies.includes(server) ? asQuestion(random, server, written) : written
  const answer = await t.ask(server, address, bytesOf(asked))
  const principal = seenBy(answer)
  return { ids: [principal, ...t.accepted.slice(before)].flatMap((one) => (one ? [one.id] : [])), answer }
}

it(`lets nobody in without a credential, in ${requests} random requests`, {
  timeout: timeFor(1_500),
}, async () => {
  const random = createRandom(seed)
  const outcomes: Record<string, number> = {}
  const count = (what: string): void => {
    outcomes[what] = (outcomes[what] ?? 0) + 1
  }
  t = await startEveryScheme()
  for (let i = 0; i < requests; i++) {
    if (i % toOneGate === toOneGate - 1) {
      await t.close()
      t = await startEveryScheme()
    }
    // Ten wrong credentials in a minute are answered at once.
    t.clock.advance(6_500)
    const ticket = random.oneIn(4) ? await t.issueTicket() : undefined
    const known =
      ticket === undefined
        ? t.known
        : [...t.known, { principal: t.known[0]?.principal as string, secret: ticket }]
    const written = writeRequest(random, t.known, ticket)
    const address = random.pick([proxyAddress, '198.51.100.7', '127.0.0.1', '::ffff:10.0.0.9', '162.158.1.1'])
    const about = `request ${i} of seed ${seed} from ${address}: ${JSON.stringify(written)}`
    const { ids, answer } = await sendOne(random, written, address)
    for (const id of ids) {
      const why = whyMay(id, written, address.replace('::ffff:', ''), known, isSocket(written))
      expect(why, `${id}: ${about}`).not.toBe('')
      count(why)
    }
    const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 'object'
    if (ids.length === 0) count(status)
    const code = /^upgate-refusal: (\w+)/im.exec(answer)?.[1]
    if (code !== undefined) expect(codes, about).toContain(code)
    if (/^[45]/.test(status) && status !== '417' && code === undefined)
      expect(answer, about).toMatch(ofNodeOrWs)
    expect(t.errors, about).toEqual([])
    const said = [answer.replace(/^Location: .*$/m, ''), JSON.stringify(t.events), ...t.logged].join()
    for (const { secret } of known) expect(said.includes(secret), about).toBe(false)
    t.events.length = 0
    t.logged.length = 0
  }
  if (process.env.UPGATE_FUZZ !== undefined) console.log(outcomes)
  // The test means nothing where no credential ever counts.
  for (const way of ['key', 'bearer', 'ticket', 'assertion', 'cookie', 'proxy', '101', '401', '403']) {
    expect(outcomes[way] ?? 0, `${way} of ${JSON.stringify(outcomes)}`).toBeGreaterThan(0)
  }
})
