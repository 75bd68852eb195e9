import { readFileSync } from 'node:fs'
import {
  type DiagnosisCode,
  diagnose,
  diagnoses,
  diagnosisCodes,
  layers,
  type Observation,
} from '@upgate/diagnosis'
import { adviceFor, closeCodeFor, refusalCodes } from 'upgate/protocol'
import { describe, expect, test } from 'vitest'
import { type Sample, samples } from './samples.ts'

/* The table as a whole: every code has a row, a sample and a page, and no sample of one row is taken for another. */

/** What a gate answers with each of its codes: over HTTP, in its own protocol, in `connect`, and as a close reason. */
const refusals: readonly Sample[] = refusalCodes.flatMap((code): Sample[] => {
  const url = 'wss://gateway.example.com/ws'
  const close = { code: closeCodeFor(code), reason: code }
  const frames = [JSON.stringify({ type: 'auth_error', code, message: 'No.', action: 'Do.' })]
  const details = { code: 'AUTH_UNAUTHORIZED', reason: code, action: 'Do.' }
  const connect = [
    JSON.stringify({
      type: 'res',
      id: '1',
      ok: false,
      error: { code: 'INVALID_REQUEST', message: 'No.', details },
    }),
  ]
  const headers = { 'Upgate-Refusal': `${code}; gate="gateway"`, server: 'cloudflare', 'cf-ray': '1-FRA' }
  const body = JSON.stringify({ type: `urn:problem-type:upgate:${code}`, status: 400, code, detail: 'No.' })
  const upgrade = code !== 'upgrade_required'
  const each = (name: string, observation: Observation): Sample => ({
    name: `${code}, ${name}`,
    code,
    observation: { url, sent: { upgrade }, ...observation },
  })
  return [
    each('by the marker', { response: { status: 403, headers } }),
    each('by the document alone', { response: { status: 403, headers: { server: 'nginx' }, body } }),
    ...(code === 'bad_handshake' ? [] : [each('in band', { reached: 'open', frames, close })]),
    each('in connect', { reached: 'open', frames: connect, close: { code: 1008, reason: code } }),
    each('as a close reason', { reached: 'open', close }),
  ]
})
const all = [...samples, ...refusals]

test.each(all.map((each) => [each.name, each] as const))('%s', (_name, { code, observation }) => {
  expect(diagnose(observation).code).toBe(code)
})

test('every code has exactly one row and at least one sample, and every row a code', () => {
  const codes = diagnoses.map(({ code }) => code)
  expect(codes.toSorted()).toEqual([...diagnosisCodes].toSorted())
  expect(new Set(codes).size).toBe(codes.length)
  expect(codes.filter((code) => !all.some((each) => each.code === code))).toEqual([])
})

test('every refusal of a gate is a row, with the page that its code names', () => {
  for (const code of refusalCodes) expect(diagnosisCodes).toContain(code)
})

test('retry says nothing that the protocol contradicts', () => {
  const retryOf = new Map(diagnoses.map(({ code, retry }) => [code as string, retry]))
  for (const code of refusalCodes) {
    // Once approved, the device has to come back: the protocol's general advice for 4403 is to stop.
    if (code === 'pairing_required') continue
    const advice = adviceFor(closeCodeFor(code))
    const retry = retryOf.get(code)
    const allowed = {
      stop: ['never'],
      renew: ['after_new_credential'],
      back_off: ['backoff'],
      back_off_long: ['backoff'],
      reconnect: ['backoff'],
    }
    expect(allowed[advice], code).toContain(retry)
  }
})

describe('the confusion matrix', () => {
  /** What an attempt may carry besides its signs, without a meaning of its own. */
  const noise: readonly (readonly [string, (observation: Observation) => Observation])[] = [
    [
      'other headers',
      (o) =>
        o.response
          ? {
              ...o,
              response: {
                ...o.response,
                headers: {
                  'x-powered-by': 'Express',
                  date: 'Sat, 28 Nov 2026 22:00:00 GMT',
                  via: '1.1 proxy',
                  ...o.response.headers,
                },
              },
            }
          : o,
    ],
    [
      'headers in other case',
      (o) =>
        o.response
          ? {
              ...o,
              response: {
                ...o.response,
                headers: Object.fromEntries(
                  Object.entries(o.response.headers ?? {}).map(([name, value]) => [
                    name.toUpperCase(),
                    value,
                  ]),
                ),
              },
            }
          : o,
    ],
    [
      'application frames',
      (o) =>
        o.frames || o.close
          ? { ...o, frames: ['hello', '{"type":"event","event":"tick"}', ...(o.frames ?? [])] }
          : o,
    ],
    ['times', (o) => ({ ...o, times: { at: 1_796_000_000_000, ...o.times } })],
    [
      'a query with a secret',
      (o) =>
        o.url?.includes('#') || o.url === undefined || o.url.includes(' ')
          ? o
          : { ...o, url: `${o.url}?token=ugd_abcdefgh12345678` },
    ],
  ]

  test('no sample of one row is another row’s, whatever else is observed', () => {
    const confused: string[] = []
    for (const { name, code, observation } of all)
      for (const [what, add] of noise) {
        const verdict = diagnose(add(observation)).code
        if (verdict !== code) confused.push(`${name} with ${what}: ${verdict} instead of ${code}`)
      }
    expect(confused).toEqual([])
  })

  test('each likely confusion names a row that exists, another one, and a probe', () => {
    for (const { code, confusableWith } of diagnoses)
      for (const other of confusableWith) {
        expect(diagnosisCodes).toContain(other.code)
        expect(other.code).not.toBe(code)
        expect(other.probe.length).toBeGreaterThan(10)
      }
  })

  test.each<[string, Observation, Observation, DiagnosisCode, DiagnosisCode]>([
    [
      'a TLS hello',
      { url: 'ws://h/', error: { code: 'ECONNRESET', message: 'socket hang up' } },
      { probes: { tls: 'answered' } },
      'http_closed',
      'tls_expected',
    ],
    [
      'the bytes',
      { url: 'ws://h/', reached: 'tcp', error: { message: 'Opening handshake has timed out' } },
      { bytes: 'HTTP/1.1 1' },
      'http_silent',
      'http_stalled',
    ],
    [
      'the first bytes',
      { url: 'ws://h/', reached: 'tcp', error: { code: 'HPE_INVALID_CONSTANT' } },
      { bytes: '\0\0\x12\x04\0\0\0\0\0' },
      'not_http',
      'http2_only',
    ],
    [
      'the version in the first bytes',
      { url: 'ws://h/', reached: 'tcp', error: { code: 'HPE_INVALID_CONSTANT' }, bytes: 'SSH-2.0-x' },
      { bytes: 'HTTP/1.1 2x0' },
      'not_http',
      'answer_malformed',
    ],
    [
      'the issuer',
      { url: 'wss://h/', error: { code: 'SELF_SIGNED_CERT_IN_CHAIN' } },
      { tls: { issuer: 'CN=Netskope' } },
      'tls_untrusted',
      'tls_inspected',
    ],
    [
      'the silence',
      { url: 'wss://h/', reached: 'open', close: { code: 1006 } },
      { times: { idle: 100_100 } },
      'connection_lost',
      'idle_cut',
    ],
    [
      'a plain GET',
      { url: 'wss://h/', response: { status: 200, headers: { server: 'cloudflare' } } },
      { probes: { http: { status: 426, headers: { 'upgate-refusal': 'upgrade_required; gate="g"' } } } },
      'edge_websocket_refused',
      'upgrade_lost',
    ],
    [
      'a plain GET at another server',
      { url: 'ws://h/', response: { status: 200 } },
      { probes: { http: { status: 401, headers: { 'upgate-refusal': 'auth_required; gate="g"' } } } },
      'other_server',
      'upgrade_lost',
    ],
    [
      'a fetch of the page',
      { url: 'wss://h/', sent: { client: 'browser' }, close: { code: 1006 } },
      { probes: { http: 'redirected' } },
      'browser_hides',
      'page_login_expired',
    ],
  ])('%s tells two confusable rows apart', (_name, first, second, before, after) => {
    expect(diagnose(first).code).toBe(before)
    expect(diagnose({ ...first, ...second }).code).toBe(after)
    const listed = diagnoses.find(({ code }) => code === before)?.confusableWith.map(({ code }) => code)
    expect(listed).toContain(after)
  })
})

test('every entry has words for people, and a layer that exists', () => {
  for (const entry of diagnoses) {
    expect(layers).toContain(entry.layer)
    for (const name of ['title', 'sees', 'cause', 'action'] as const) {
      expect(entry[name].length, `${entry.code}.${name}`).toBeGreaterThan(6)
    }
    expect(entry.title.endsWith('.'), `${entry.code}.title`).toBe(false)
    for (const name of ['sees', 'cause', 'action'] as const)
      expect(entry[name], `${entry.code}.${name}`).toMatch(/\.$/)
  }
})

test('link leads to a page that exists and describes the code', () => {
  for (const { code, title } of diagnoses) {
    const { link } = diagnose({}, { docs: 'docs/diagnosis/' })
    expect(link).toBe('docs/diagnosis/unknown.md')
    const page = readFileSync(new URL(`../../../docs/diagnosis/${code}.md`, import.meta.url), 'utf8')
    expect(page).toContain(title)
  }
})
