import { clean, type Diagnosis, diagnose, type Observation, withoutSecrets } from '@upgate/diagnosis'
import { describe, expect, test } from 'vitest'

/* Everything in an observation may come from a hostile server, and a verdict is printed on terminals and shown in pages. */

const secret = 'f3b9c1d2e4a5968778695a4b3c2d1e0ff3b9c1d2e4a5968778695a4b3c2d1e0f'
const printed = (diagnosis: Diagnosis): string => JSON.stringify(diagnosis)

describe('evidence', () => {
  test('cannot control a terminal, change the direction of reading, or begin HTML', () => {
    const hostile =
      '\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2066\u0000\x9b31m<img src=x onerror=alert(1)>"\'`\r\nok\ud800'
    const everywhere: Observation[] = [
      {
        response: {
          status: 401,
          headers: { server: hostile, 'www-authenticate': hostile, location: hostile },
          body: `<title>${hostile}</title>`,
        },
      },
      { reached: 'open', close: { code: 4100, reason: hostile } },
      { error: { code: hostile, message: hostile } },
      { bytes: hostile, error: { code: 'HPE_INVALID_CONSTANT' } },
      {
        tls: { issuer: hostile, subject: hostile, altNames: hostile, validTo: hostile },
        error: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
      },
      {
        frames: [
          JSON.stringify({
            type: 'auth_error',
            code: 'auth_required',
            message: hostile,
            action: hostile,
            facts: { comparisonCode: hostile, requestId: hostile },
          }),
        ],
        close: { code: 4401 },
        reached: 'open',
      },
      { url: `wss://${hostile}/`, close: { code: 1001 } },
    ]
    for (const observation of everywhere) {
      const { evidence } = diagnose(observation)
      for (const { value } of evidence) expect(value).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}<>"'`]/u)
    }
  })

  test.each([
    ['a query', 'https://acme.example/login?kid=1&meta=abc', 'meta=abc'],
    ['user information', 'wss://user:hunter22@host/', 'hunter22'],
    ['a Bearer header', 'sent Bearer abcdefgh.12345678', 'abcdefgh.12345678'],
    ['Basic', 'Basic dXNlcjpwYXNzd29yZA==', 'dXNlcjpwYXNzd29yZA'],
    ['a JWT', 'x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl y', 'eyJzdWIi'],
    ['one of our tokens', 'ugd_Ab3dEf6hIj9kLm2n rejected', 'Ab3dEf6hIj9kLm2n'],
    ['an Access secret', `secret ${secret} unknown`, secret.slice(0, 20)],
    ['a newer Access secret', 'cfast_abcdefghijklmnopqrstuvwxyz0123456789abcd12345678', 'abcdefghijklmnop'],
    ['a client id', '88bf3b6d86161464f6509f7219099e57.access', '88bf3b6d86161464'],
    ['a password in JSON', '{"password":"correct horse"}', 'correct'],
    ['a form', 'token=abcd1234&x=1', 'abcd1234'],
    ['a cookie', 'Cookie: upgate=abcdefgh1234', 'abcdefgh1234'],
    ['long base64', 'q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng=', 'q83vEjRWeJ'],
    ['a secret split by invisible characters', `Bearer abcd\u200befgh\u200bijkl1234`, 'ijkl1234'],
  ])('does not show %s', (_name, text, hidden) => {
    expect(clean(text)).not.toContain(hidden)
    expect(
      printed(diagnose({ reached: 'open', close: { code: 1008, reason: text }, error: { message: text } })),
    ).not.toContain(hidden)
    expect(
      printed(
        diagnose({
          response: { status: 401, headers: { server: text, location: text }, body: `<title>${text}` },
        }),
      ),
    ).not.toContain(hidden)
  })

  test('keeps the words that help', () => {
    expect(clean('Bearer realm="gateway", error="invalid_token"')).toBe(
      'Bearer realm=”gateway”, error=”invalid_token”',
    )
    expect(clean('connect ECONNREFUSED 127.0.0.1:8787')).toBe('connect ECONNREFUSED 127.0.0.1:8787')
    expect(clean('nginx/1.28.0 (Debian)')).toBe('nginx/1.28.0 (Debian)')
    expect(clean('unauthorized: device token mismatch (rotate/reissue device token)')).toContain(
      'device token mismatch',
    )
  })

  test('has no half secret where a long text is cut', () => {
    for (let pad = 4020; pad < 4110; pad++)
      expect(clean(`${'x '.repeat(pad / 2)}${secret}`, 10_000)).not.toContain(secret.slice(0, 12))
    for (let pad = 150; pad < 210; pad++)
      expect(clean(`${'x '.repeat(pad / 2)}${secret}`)).not.toContain(secret.slice(0, 12))
  })
})

describe('withoutSecrets', () => {
  const odd = 'pass"word\\ with é & 100%'
  test.each([
    ['as it is', odd],
    ['percent-encoded', encodeURIComponent(odd)],
    ['in JSON', JSON.stringify(odd)],
  ])('removes a secret %s from every field', (_name, echoed) => {
    const observation: Observation = {
      url: `wss://h/?x=${echoed}`,
      close: { code: 1008, reason: `no ${echoed}!` },
      frames: [echoed, `{"message":${JSON.stringify(odd)}}`],
      response: {
        status: 400,
        headers: { location: `/x/${echoed}`, 'set-cookie': [echoed], [echoed]: 'x' },
        body: echoed,
      },
    }
    const copy = JSON.stringify(withoutSecrets(observation, [odd, undefined]))
    for (const form of [odd, encodeURIComponent(odd), JSON.stringify(odd).slice(1, -1)]) {
      expect(copy).not.toContain(JSON.stringify(form).slice(1, -1))
    }
    expect(observation.close?.reason).toContain(echoed)
  })

  test('removes the beginning of a secret that a server cut, and the longer of two', () => {
    expect(withoutSecrets(`no ${secret.slice(0, 40)}`, [secret])).toBe('no [removed]')
    expect(withoutSecrets('a tokentoken-2', ['token', 'tokentoken-2'])).toBe('a [removed]')
    expect(withoutSecrets('abc', ['abc', '', undefined])).toBe('abc')
  })

  test('takes hostile depth', () => {
    let deep: unknown = secret
    for (let level = 0; level < 100_000; level++) deep = [deep]
    expect(JSON.stringify(withoutSecrets(deep, [secret]))).not.toContain(secret)
  })
})

test('endless data is cut, and takes no time', () => {
  const long = 'a'.repeat(2_000_000)
  const headers = Object.fromEntries(
    Array.from({ length: 20_000 }, (_, index) => [`x-${index}`, long.slice(0, 1000)]),
  )
  const hostile: Observation[] = [
    {
      url: `wss://${long}`,
      response: { status: 403, headers: { ...headers, server: long }, body: `<title>${long}` },
    },
    {
      frames: Array.from(
        { length: 2000 },
        () => `{"type":"auth_error","code":"${long.slice(0, 1000)}","message":"x"}`,
      ),
      close: { code: 4403, reason: long },
    },
    { error: { code: long, message: `self-signed ${long}` }, bytes: long },
    {
      frames: [`${'['.repeat(60_000)}`, `{"a":${'{"a":'.repeat(10_000)}`],
      close: { code: 1008, reason: '?'.repeat(500_000) },
    },
    {
      response: {
        status: 302,
        headers: {
          location: `https://${'a.'.repeat(300_000)}cloudflareaccess.com/cdn-cgi/access/login?${'meta='.repeat(200_000)}`,
        },
      },
    },
    { error: { message: '//'.repeat(1_000_000) }, close: { code: 1006, reason: '=@'.repeat(500_000) } },
    {
      error: { message: 'eyJ'.repeat(700_000) },
      close: { code: 1006, reason: `${'status '.repeat(100_000)}` },
    },
  ]
  const start = process.cpuUsage()
  for (const observation of hostile) {
    const diagnosis = diagnose(observation)
    expect(printed(diagnosis).length).toBeLessThan(8000)
    expect(diagnosis.evidence.length).toBeLessThanOrEqual(12)
  }
  expect(process.cpuUsage(start).user).toBeLessThan(2_000_000)
})

test('wrong types and hostile objects count as absent', () => {
  const values: unknown[] = [
    undefined,
    null,
    0,
    Number.NaN,
    -1,
    'x',
    '',
    true,
    [],
    {},
    [null],
    { status: '200' },
    { code: '1008' },
    Object.create(null),
  ]
  const names = [
    'url',
    'sent',
    'reached',
    'error',
    'tls',
    'bytes',
    'response',
    'close',
    'frames',
    'times',
    'probes',
    'expected',
  ]
  for (const name of names)
    for (const value of values) {
      const diagnosis = diagnose({ [name]: value } as Observation)
      expect(diagnosis.code, `${name}: ${JSON.stringify(value)}`).toBeTypeOf('string')
      const nested = {
        [name]: {
          code: value,
          reason: value,
          message: value,
          status: value,
          headers: value,
          body: value,
          credentials: value,
          http: value,
          issuer: value,
          idle: value,
        },
      }
      expect(diagnose(nested as unknown as Observation).code).toBeTypeOf('string')
    }
  const polluted = JSON.parse(
    '{"response":{"status":401,"headers":{"__proto__":"x","constructor":"y"},"body":"{\\"__proto__\\":{\\"code\\":\\"auth_required\\"}}"}}',
  )
  expect(diagnose(polluted).code).toBe('other_server_auth')
})

test('Retry-After is read as seconds and as a date, and bounded', () => {
  const wait = (headers: Record<string, string>, at?: number) =>
    diagnose({
      response: { status: 503, headers: { 'upgate-refusal': 'over_capacity; gate="g"', ...headers } },
      times: { at },
    }).retryAfter
  expect(wait({ 'retry-after': '30' })).toBe(30)
  expect(wait({ 'retry-after': '999999999999' })).toBe(86_400)
  expect(
    wait({ 'retry-after': 'Sat, 28 Nov 2026 22:01:00 GMT', date: 'Sat, 28 Nov 2026 22:00:00 GMT' }),
  ).toBe(60)
  expect(wait({ 'retry-after': 'Sat, 28 Nov 2026 22:01:00 GMT' }, Date.UTC(2026, 10, 28, 22, 0, 30))).toBe(30)
  expect(wait({ 'retry-after': 'Sat, 28 Nov 2026 21:00:00 GMT' }, Date.UTC(2026, 10, 28, 22, 0, 30))).toBe(0)
  expect(wait({ 'retry-after': '-5' })).toBeUndefined()
  expect(wait({ 'retry-after': 'soon' })).toBeUndefined()
  const frame = JSON.stringify({
    type: 'res',
    id: '1',
    ok: false,
    error: { code: 'UNAVAILABLE', message: 'x', details: { retryAfterMs: 2500 } },
  })
  expect(diagnose({ reached: 'open', frames: [frame], close: { code: 1013 } }).retryAfter).toBe(3)
  const shutdown = JSON.stringify({ type: 'event', event: 'shutdown', payload: { restartExpectedMs: 7000 } })
  expect(diagnose({ reached: 'accepted', frames: [shutdown], close: { code: 1012 } }).retryAfter).toBe(7)
})

test('only a host of Cloudflare Access is Cloudflare Access', () => {
  const codeOf = (location: string) =>
    diagnose({ url: 'wss://h/ws', response: { status: 302, headers: { location } } }).code
  expect(codeOf('https://acme.cloudflareaccess.com/cdn-cgi/access/login/h')).toBe('access_login_required')
  expect(codeOf('https://acme.fed.cloudflareaccess.com/cdn-cgi/access/login/h')).toBe('access_login_required')
  for (const host of [
    'acme.cloudflareaccess.com.evil.test',
    'evilcloudflareaccess.com',
    'acme.cloudflareaccess.com@evil.test',
  ]) {
    expect(codeOf(`https://${host}/cdn-cgi/access/login/h`), host).toBe('redirected')
  }
})

test('a mistake in the call is a TypeError that says what to write', () => {
  expect(() => diagnose(undefined as never)).toThrow(
    'diagnose: the observation must be an object, such as { url, error } or { url, response }.',
  )
  expect(() => diagnose({}, { doc: 'x' } as never)).toThrow(
    'diagnose: unknown option `doc`; there is only `docs`.',
  )
  expect(() => diagnose({}, { docs: 'https://example.com/d' })).toThrow(
    'diagnose: `docs` must be the place of the pages, with a slash at the end.',
  )
  expect(diagnose({}, { docs: 'https://example.com/d/' }).link).toBe('https://example.com/d/unknown.md')
})
