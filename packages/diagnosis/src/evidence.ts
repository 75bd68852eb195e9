import { clean } from './clean.ts'
import type { Evidence } from './diagnosis.ts'
import type { Answer, Seen } from './seen.ts'

/** At most so many facts: evidence is read by people. */
const most = 12

/** The facts on which a verdict rests, the most telling first, each safe to print and to show. */
export function evidenceOf(seen: Seen): readonly Evidence[] {
  const { answer, upgraded, close, error, said, tls, bytes, times, probes } = seen
  const facts: Evidence[] = []
  const add = (name: string, value: unknown, longest?: number): void => {
    const text = clean(value, longest)
    if (text !== '' && facts.length < most && !facts.some((fact) => fact.name === name))
      facts.push({ name, value: text })
  }
  if (answer !== undefined) addAnswer(answer, add)
  if (upgraded !== undefined && answer === undefined && error.any) add('status', 101)
  if (close !== undefined) {
    add('close code', close.code)
    add('close reason', close.reason, 123)
  }
  if (said !== undefined) {
    add('server code', said.code, 64)
    add('server message', said.message)
    add('server action', said.action)
    add('comparison code', said.comparisonCode)
    add('pairing request', said.requestId, 128)
  }
  add('error code', error.code, 64)
  add('error', error.message)
  add('certificate issuer', tls.issuer)
  add('certificate subject', tls.subject)
  add('certificate names', tls.altNames)
  add('certificate valid from', tls.validFrom, 40)
  add('certificate valid to', tls.validTo, 40)
  add('TLS alert', tls.alert)
  add('TLS version', tls.protocol, 20)
  add('ALPN', tls.alpn, 20)
  if (answer === undefined && bytes !== '') add('first bytes', printable(bytes), 60)
  add('silence before the end', seconds(times.idle))
  if (close !== undefined) add('time open', seconds(times.open))
  add('TLS ClientHello', probes.tls)
  if (typeof probes.http === 'string') add('plain GET', probes.http)
  else if (probes.http !== undefined && probes.http !== answer) {
    add('plain GET', probes.http.status)
    add('plain GET: Upgate-Refusal', probes.http.marker)
  }
  add('host', seen.url?.host, 255)
  if (facts.length === 0) add('observed', 'nothing')
  return facts
}

/** Headers that tell which program answered. Values that may be secret are not among them. */
const telling = [
  'upgate-refusal',
  'server',
  'www-authenticate',
  'proxy-authenticate',
  'cf-mitigated',
  'cf-ray',
  'cf-access-domain',
  'ngrok-error-code',
  'retry-after',
  'content-type',
] as const

function addAnswer(answer: Answer, add: (name: string, value: unknown, longest?: number) => void): void {
  add('status', answer.status)
  const { location } = answer
  if (location !== undefined) {
    const port = location.port === '' ? '' : `:${location.port}`
    add('location', `${location.scheme}://${location.host}${port}${location.path}`)
  } else add('location', answer.header('location').split(/[?#]/)[0])
  if (answer.accessLogin)
    add(
      'service token recognised',
      answer.tokenRecognised === undefined ? 'not said' : String(answer.tokenRecognised),
    )
  add('edge error code', answer.edgeCode)
  for (const name of telling) add(name, answer.header(name))
  if (answer.said !== undefined) {
    add('server code', answer.said.code, 64)
    add('server message', answer.said.message)
    add('server action', answer.said.action)
    add('comparison code', answer.said.comparisonCode)
    add('pairing request', answer.said.requestId, 128)
  }
  if (answer.marker === undefined)
    add('page title', /<title[^>]{0,100}>\s*([^<]{1,200})/i.exec(answer.body)?.[1])
}

/** Bytes as text: each byte that is not printable becomes a dot. */
function printable(bytes: string): string {
  return bytes.slice(0, 60).replace(/[^\x20-\x7e]/g, '.')
}

function seconds(milliseconds: number | undefined): string {
  return milliseconds === undefined || milliseconds < 0 ? '' : `${(milliseconds / 1000).toFixed(1)} s`
}
