import type { Observation, ObservedResponse, Reached, SentCredential } from './observation.ts'
import { edgeErrorCode, isAccessHost, isAccessLogin, serviceTokenStatus } from './read/cloudflare.ts'
import { acceptedIn, refusalIn, refusalInBody, type Said, shutdownIn } from './read/refusal.ts'
import { refusalCode } from './read/refusal-code.ts'
import { readUrl, type UrlParts } from './read/url.ts'
import { bounded, retryAfterHeader } from './read/wait.ts'

/** An HTTP answer, cut to the part that is read, with the meaning of its headers. */
export interface Answer {
  readonly status: number
  /** A header in any case of its name; the first value; empty if it is absent. */
  header(name: string): string
  readonly body: string
  /** The code in `Upgate-Refusal`: this answer comes from a gate. */
  readonly marker: string | undefined
  readonly location: UrlParts | undefined
  /** The URL that answered, if redirects were followed. */
  readonly url: UrlParts | undefined
  /** Whether Cloudflare's edge wrote or passed it. */
  readonly cloudflare: boolean
  /** The number of Cloudflare's error page. */
  readonly edgeCode: number | undefined
  /** Whether Cloudflare Access wrote it. */
  readonly access: boolean
  readonly accessLogin: boolean
  /** Whether Access recognised the service token, as a redirect to its login says. */
  readonly tokenRecognised: boolean | undefined
  readonly html: boolean
  readonly said: Said | undefined
  readonly retryAfter: number | undefined
}

/** An observation, cut and read once; the rows of the table look at nothing else. */
export interface Seen {
  readonly url: UrlParts | undefined
  readonly urlText: string
  readonly upgrade: boolean
  readonly sent: ReadonlySet<SentCredential>
  readonly proxy: boolean
  readonly browser: boolean
  readonly protocols: number | undefined
  readonly reached: Reached | undefined
  readonly error: {
    readonly name: string
    readonly code: string
    readonly message: string
    readonly syscall: string
    readonly timedOut: boolean
    readonly aborted: boolean
    /** Whether there was an error at all. */
    readonly any: boolean
  }
  readonly tls: NonNullable<Observation['tls']>
  readonly bytes: string
  /** The answer in place of a 101, or to plain HTTP. */
  readonly answer: Answer | undefined
  /** The 101. */
  readonly upgraded: Answer | undefined
  /** The refusal that the server named: often one of a gate's codes. */
  readonly refusal: string | undefined
  readonly close: { readonly code: number; readonly reason: string } | undefined
  /** Contents of the server's last refusing frame. */
  readonly said: Said | undefined
  readonly accepted: boolean
  readonly shutdown: { readonly retryAfter: number | undefined } | undefined
  readonly times: NonNullable<Observation['times']>
  readonly probes: {
    readonly tls: NonNullable<Observation['probes']>['tls']
    readonly http: Answer | 'failed' | 'hidden' | 'redirected' | undefined
    readonly offline: boolean
    readonly browserAgent: Answer | undefined
  }
  readonly expectedEdge: boolean
}

const steps: readonly Reached[] = ['nothing', 'dns', 'tcp', 'tls', 'http', 'open', 'accepted']

/** Reads an observation. Whatever is in it: wrong types count as absent, and long texts are cut. */
export function see(observation: Observation): Seen {
  const { sent, error, probes, times } = observation
  const urlText = text(observation.url, 8192)
  const url = readUrl(urlText)
  const frames = (Array.isArray(observation.frames) ? observation.frames : [])
    .slice(-16)
    .filter((frame): frame is string => typeof frame === 'string')
  const at = number(times?.at)
  const end = readClose(observation.close)
  const whole = readAnswer(observation.response, at)
  const response = whole ?? readAnswer(statusIn(text(error?.message, 4096)), at)
  const plain = typeof probes?.http === 'string' ? probes.http : readAnswer(probes?.http, at)
  // What a page learned by its own request stands for the answer that the browser hides.
  const fromPage = sent?.client === 'browser' && whole === undefined && typeof plain === 'object'
  const answer = fromPage ? plain : response?.status === 101 ? undefined : response
  const said = refusalIn(frames)
  return {
    url,
    urlText,
    upgrade: sent?.upgrade ?? (url === undefined || url.scheme === 'ws' || url.scheme === 'wss'),
    sent: new Set(Array.isArray(sent?.credentials) ? sent.credentials.slice(0, 32) : []),
    proxy: sent?.proxy === true,
    browser: sent?.client === 'browser',
    protocols: number(sent?.protocols),
    reached: observation.reached,
    error: {
      name: text(error?.name, 256),
      code: text(error?.code, 256) || text(probes?.error?.code, 256),
      message: `${text(error?.message, 4096)} ${text(probes?.error?.message, 4096)}`.trim(),
      syscall: text(error?.syscall, 64),
      timedOut: error?.timedOut === true,
      aborted: error?.aborted === true,
      any: typeof error === 'object' && error !== null,
    },
    tls: typeof observation.tls === 'object' && observation.tls !== null ? observation.tls : {},
    bytes: text(observation.bytes, 4096),
    answer,
    upgraded: response?.status === 101 ? response : undefined,
    refusal: refusalCode({ answer, said, close: end }),
    close: end,
    said,
    accepted: observation.reached === 'accepted' || acceptedIn(frames),
    shutdown: shutdownIn(frames),
    times: {
      at,
      open: number(times?.open),
      idle: number(times?.idle),
      credentialAge: number(times?.credentialAge),
      server: number(times?.server),
    },
    probes: {
      tls: probes?.tls,
      http: plain,
      offline: probes?.offline === true,
      browserAgent: readAnswer(probes?.browserAgent, at),
    },
    expectedEdge: observation.expected?.edge === true,
  }
}

/** Whether an attempt is known to have come at least so far. */
export function reached({ reached: last }: Seen, step: Reached): boolean {
  return last !== undefined && steps.indexOf(last) >= steps.indexOf(step)
}

/** Whether an attempt is known to have come no further. */
export function stoppedAt({ reached: last }: Seen, ...at: readonly Reached[]): boolean {
  return last !== undefined && at.includes(last)
}

function readClose(close: Observation['close']): { code: number; reason: string } | undefined {
  return Number.isInteger(close?.code)
    ? { code: Number(close?.code), reason: text(close?.reason, 512) }
    : undefined
}

function readAnswer(response: ObservedResponse | undefined, at: number | undefined): Answer | undefined {
  if (response === undefined || response === null || !Number.isInteger(response.status)) return undefined
  const headers = readHeaders(response.headers)
  const header = (name: string): string => headers.get(name) ?? ''
  const { status } = response
  const body = text(response.body, 16_384)
  const location = readUrl(header('location'))
  const url = readUrl(response.url)
  const onTeamHost = url !== undefined && isAccessHost(url.host)
  const code = edgeErrorCode(body)
  const cloudflare =
    /^cloudflare/i.test(header('server')) || headers.has('cf-ray') || (status >= 520 && status <= 530)
  const accessLogin = isAccessLogin(location)
  return {
    status,
    header,
    body,
    marker: /^\s*([a-z][a-z\d_]{1,63})\s*(?:;|$)/.exec(header('upgate-refusal'))?.[1],
    location,
    url,
    cloudflare,
    edgeCode: cloudflare || /"cloudflare_error"\s*:\s*true/.test(body) ? code : undefined,
    access:
      accessLogin ||
      onTeamHost ||
      headers.has('cf-access-aud') ||
      headers.has('cf-access-domain') ||
      /\bCloudflare-Access\b/i.test(header('www-authenticate')),
    accessLogin,
    tokenRecognised: accessLogin && location !== undefined ? serviceTokenStatus(location) : undefined,
    html: /\bhtml\b/i.test(header('content-type')) || /^\s*(?:<!doctype html|<html)/i.test(body),
    said: refusalInBody(body),
    retryAfter: retryAfterHeader(header('retry-after'), header('date'), at),
  }
}

function readHeaders(headers: ObservedResponse['headers']): ReadonlyMap<string, string> {
  const read = new Map<string, string>()
  if (typeof headers !== 'object' || headers === null) return read
  let left = 200
  for (const name in headers) {
    if (!Object.hasOwn(headers, name)) continue
    if (left-- === 0) break
    const value = headers[name]
    const first: unknown = Array.isArray(value) ? value[0] : value
    if (typeof first === 'string') read.set(name.slice(0, 128).toLowerCase(), first.slice(0, 8192))
  }
  return read
}

/** Runtimes that hide the answer name its status in the message: `ws`, Bun and Deno. */
function statusIn(message: string): ObservedResponse | undefined {
  const status = /(?:server response|status(?: code)?)\b[^\d]{0,24}(\d{3})\b/i.exec(message)?.[1]
  return status === undefined ? undefined : { status: Number(status) }
}

/** Seconds to wait, by the most explicit source. */
export function waitOf(seen: Seen): number | undefined {
  const { said, answer, shutdown } = seen
  return (
    bounded(said?.retryAfter) ??
    answer?.retryAfter ??
    bounded(answer?.said?.retryAfter) ??
    bounded(shutdown?.retryAfter)
  )
}

function text(value: unknown, most: number): string {
  return typeof value === 'string' ? value.slice(0, most) : ''
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}
