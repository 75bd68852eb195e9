import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGate, fromRequest, type GateOptions } from 'upgate'
import { httpGate } from 'upgate/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cookieScheme, keyScheme, makeGate, origin, person, request } from '../core/fixtures.ts'
import { raw } from './raw.ts'

const basic = `Basic ${Buffer.from('front:secret').toString('base64')}`

/** What a look-up for sessions can see of the request that it gets. */
const seen: string[] = []
const gate = createGate({
  origins: [origin],
  hosts: ['app.example.com'],
  ignoreAuthorization: ['Basic', 'Digest'],
  rules: [{ path: '/open', access: 'optional' }],
  schemes: [
    fromRequest(
      (native: IncomingMessage) => {
        seen.push(JSON.stringify([native.headers, native.rawHeaders, native.headersDistinct]))
        // As middleware does that takes Basic next to its sessions.
        if (native.headers.authorization !== undefined) return { id: 'front' }
        return native.headers.cookie === 'app=1' ? { id: 'ada' } : null
      },
      { name: 'sessions' },
    ),
    keyScheme({ k_u: person('u') }),
  ],
})
let server: Server
beforeAll(async () => {
  server = createServer(
    httpGate(gate, (req, res) => {
      res.end(`${gate.principalOf(req)?.id ?? 'anonymous'}, handler sees ${req.headers.authorization}`)
    }),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => new Promise((resolve) => server.close(resolve)))

async function ask(lines: readonly string[], path = '/'): Promise<{ status: number; body: string }> {
  const { port } = server.address() as AddressInfo
  const text = await raw(
    port,
    `GET ${path} HTTP/1.1\r\nHost: app.example.com\r\n${lines.map((line) => `${line}\r\n`).join('')}Connection: close\r\n\r\n`,
  ).ended()
  return { status: Number(text.slice(9, 12)), body: text }
}

/* A login of the proxy (nginx `auth_basic`) sent its password with every request: sessions that were good became 401. */
describe('ignoreAuthorization', () => {
  it.each([basic, basic.toUpperCase(), `basic ${basic.slice(6)}`, `Basic\t${basic.slice(6)}`, 'Basic'])(
    'lets a session in next to the login of a proxy: %s',
    async (value) => {
      const { status, body } = await ask([`Authorization: ${value}`, 'Cookie: app=1'])
      expect(status).toBe(200)
      expect(body).toContain(`ada, handler sees ${value.trim()}`)
    },
  )

  it('never lets anyone in by an ignored header, and shows it to no function', async () => {
    seen.length = 0
    for (const lines of [[`Authorization: ${basic}`], [`Authorization: ${basic}`, 'Cookie: app=2']]) {
      const { status, body } = await ask(lines)
      expect(status).toBe(401)
      expect(body).toContain('auth_required')
      expect((await ask(lines, '/open')).body).toContain('anonymous')
    }
    expect(seen).toHaveLength(2)
    for (const text of seen) expect(text).not.toMatch(/basic|authorization/i)
  })

  it('refuses it twice, with 400', async () => {
    for (const second of [basic, 'Bearer k_u']) {
      const { status, body } = await ask([
        `Authorization: ${basic}`,
        `authorization: ${second}`,
        'Cookie: app=1',
      ])
      expect(status).toBe(400)
      expect(body).toContain('duplicate_header')
    }
  })

  it('ignores no other word', async () => {
    for (const value of ['Basically x', 'Bearer nonsense', `x ${basic}`, 'Basic,Bearer k_u']) {
      const { status, body } = await ask([`Authorization: ${value}`, 'Cookie: app=1'])
      expect(status, value).toBe(401)
      expect(body, value).toContain('invalid_credential')
    }
    expect((await ask(['Authorization: Bearer k_u'])).body).toContain('u, handler sees Bearer k_u')
  })

  it('counts a credential in another header', async () => {
    const { status, body } = await ask([`Authorization: ${basic}`, 'X-Api-Key: k_u'])
    expect(status).toBe(200)
    expect(body).toContain('u, handler')
  })

  it('says so in an explanation, without the value', async () => {
    const explained = await makeGate({ ignoreAuthorization: ['basic'] }).explain(
      request('/x', { headers: { authorization: basic, cookie: 'sid=u' } }),
    )
    expect(explained.decision.outcome).toBe('allow')
    expect(explained.steps).toContainEqual({
      step: 'credentials',
      detail: 'authorization ignored: Basic is in `ignoreAuthorization`',
    })
    expect(JSON.stringify(explained.steps)).not.toContain(basic.slice(6))
  })

  it('withholds the native request where the adapter cannot hide a header in it', async () => {
    const native = { headers: { authorization: basic, cookie: 'sid=u' } }
    const natives: unknown[] = []
    const scheme = cookieScheme({ u: person('u') })
    const spying = {
      ...scheme,
      extract: (asked: Parameters<NonNullable<typeof scheme.extract>>[0]) => {
        natives.push(asked.native, asked.headers.authorization)
        return scheme.extract?.(asked)
      },
    }
    const spied = makeGate({ schemes: [spying], ignoreAuthorization: ['Basic'] })
    natives.length = 0
    const decision = await spied.decide({ ...request('/x', { headers: native.headers }), native })
    expect(decision.outcome).toBe('allow')
    expect(natives).toEqual([undefined, undefined])
  })

  it.each<[string, Partial<GateOptions>, string]>([
    [
      'Bearer',
      { ignoreAuthorization: ['bearer'] },
      'must not have "Bearer": a bad token would count as none.',
    ],
    [
      'a word that a scheme names in its challenge',
      { ignoreAuthorization: ['Digest'], schemes: [keyScheme({}, { challenge: 'digest' })] },
      'has "Digest", which the scheme "key" reads: its credentials would never count.',
    ],
    [
      'a word that a scheme finds a credential in',
      {
        ignoreAuthorization: ['Basic'],
        schemes: [fromRequest(() => null, { ambient: false, header: 'Authorization' })],
      },
      'has "Basic", which the scheme "request" reads',
    ],
    [
      'no list',
      { ignoreAuthorization: 'Basic' as never },
      'must be a list of the scheme words of a login in front',
    ],
    ['an empty list', { ignoreAuthorization: [] }, 'must be a list of the scheme words'],
    [
      'a whole header, which it does not quote',
      { ignoreAuthorization: [basic] },
      "has a text that is no scheme word; write only the first word of the header, such as 'Basic'.",
    ],
    ['a number', { ignoreAuthorization: [7 as never] }, 'has a number; write only the first word'],
  ])('does not take %s', (_, options, message) => {
    expect(() => makeGate(options)).toThrow(TypeError)
    expect(() => makeGate(options)).toThrow(`createGate: \`ignoreAuthorization\` ${message}`)
  })
})
