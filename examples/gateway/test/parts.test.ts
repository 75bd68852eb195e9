import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import type { WebSocket } from 'ws'
import { createAudit } from '../src/audit.ts'
import { ConfigError, originsOf, readConfig } from '../src/config.ts'
import { watchHeartbeat } from '../src/heartbeat.ts'
import { warnOfHiddenVisitors, watchForProxy } from '../src/hidden-visitors.ts'
import { jsonLine } from '../src/json-line.ts'
import { pageAfterLogin } from '../src/next.ts'
import { html } from '../src/pages/html.ts'
import { createSetupCode } from '../src/setup-code.ts'
import { createTokenBucket } from '../src/token-bucket.ts'

describe('settings', () => {
  it('have defaults that stay on this machine', () => {
    const config = readConfig({})
    expect(config).toMatchObject({ host: '127.0.0.1', port: 8787, publicUrl: undefined, trustedProxies: [] })
    expect(originsOf(config, 8787)).toEqual(['http://127.0.0.1:8787', 'http://localhost:8787'])
    expect(readConfig({ PORT: '', HOST: ' ' })).toEqual(config)
  })

  it('allow the public origin and no other', () => {
    const config = readConfig({
      PUBLIC_URL: 'https://gateway.example.com/',
      HOST: '::1',
      TRUST_PROXY: 'Loopback, 10.0.0.0/8',
    })
    expect(originsOf(config, 8787)).toEqual(['https://gateway.example.com'])
    expect(config.trustedProxies).toEqual(['loopback', '10.0.0.0/8'])
    expect(originsOf(readConfig({ HOST: '[::1]' }), 80)).toEqual(['http://[::1]', 'http://localhost'])
  })

  it('name the inner addresses that this gateway may connect to', () => {
    expect(readConfig({}).remote).toEqual({ key: undefined, allow: [] })
    expect(readConfig({ REMOTE_ALLOW: 'Loopback, 10.0.0.0/8,fd00::1' }).remote.allow).toEqual([
      'loopback',
      '10.0.0.0/8',
      'fd00::1',
    ])
    for (const REMOTE_ALLOW of ['gateway.example.com', '10.0.0.0/33', '0.0.0.0/0', 'cloudflare'])
      expect(() => readConfig({ REMOTE_ALLOW })).toThrow(/^REMOTE_ALLOW must list the inner addresses/)
    expect(() => readConfig({ REMOTE_KEY: 'short' })).toThrow(/^REMOTE_KEY must have at least 32 characters/)
  })

  it('never repeat a password', () => {
    try {
      readConfig({ ADMIN_EMAIL: 'ada@example.com', ADMIN_PASSWORD: 'hunter2' })
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError)
      expect(String(error)).not.toContain('hunter2')
    }
  })
})

it('lines of the log steer no terminal', () => {
  const hostile = 'a\n\u001b[2J\u007f\u0085\u009b2J\u200f\u2028\u2029\u202e\u2066\ufeffb'
  const line = jsonLine({ message: hostile })
  expect(line).toMatch(/^[\x20-\x7e]+$/)
  expect(JSON.parse(line)).toEqual({ message: hostile })
})

describe('the setup code', () => {
  const minutes = 60_000

  it('is valid for 30 minutes; after that, every attempt shows a new code', () => {
    let now = 0
    const shown: string[] = []
    const code = createSetupCode({ now: () => now, show: (next) => shown.push(next) })
    const first = code.value
    expect(first).toMatch(/^[A-HJ-NP-Z2-9]{8}$/)
    expect(code.check(` ${first.slice(0, 4)}-${first.slice(4).toLowerCase()} `)).toBe('right')
    now = 30 * minutes - 1
    expect(code.check(first)).toBe('right')
    expect(shown).toEqual([])
    now += 1
    expect(code.check(first)).toBe('expired')
    expect(shown).toEqual([code.value])
    expect(code.value).toMatch(/^[A-HJ-NP-Z2-9]{12}$/)
    expect([code.check(first), code.check(code.value)]).toEqual(['wrong', 'right'])
  })

  // Ten wrong codes of any client ended the set-up until a restart.
  it('is replaced after ten wrong codes, less often each time, and is valid until then', () => {
    let now = 0
    const shown: [number, string][] = []
    const code = createSetupCode({ now: () => now, show: (next) => shown.push([now / minutes, next]) })
    const guess = (times: number): void => {
      for (let count = 0; count < times; count++) expect(code.check('')).toMatch(/^(wrong|expired)$/)
    }
    const first = code.value
    guess(9)
    expect([code.check(first), shown.length]).toEqual(['right', 0])
    guess(1)
    expect([code.check(first), shown.length]).toEqual(['wrong', 1])
    // Endless wrong codes must not replace a code before the operator can type it.
    for (; now < 240 * minutes; now += 10_000) {
      guess(50)
      expect(code.check(code.value)).toBe('right')
    }
    expect(shown.map(([at]) => at)).toEqual([0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181, 211])
    expect(new Set(shown.map(([, next]) => next)).size).toBe(shown.length)
  })
})

describe('a proxy that hides the addresses of clients', () => {
  const env = { PUBLIC_URL: 'https://gateway.example.com' }
  const request = (headers: Record<string, string>, remoteAddress = '127.0.0.1') =>
    ({ headers, socket: { remoteAddress } }) as unknown as IncomingMessage
  const remedy =
    'All clients behind it seem to have one address: a client that guesses passwords locks out every browser that has not logged in before. Set TRUST_PROXY=loopback, and let the proxy append to X-Forwarded-For.'

  it('is named at the start if only a proxy can be in front', () => {
    expect(warnOfHiddenVisitors(readConfig(env))).toBe(
      `Warning: PUBLIC_URL is set and TRUST_PROXY is not, so a proxy or tunnel on this machine is in front of the gateway. ${remedy}`,
    )
    for (const HOST of ['::1', '[::1]', 'localhost', '127.0.0.2']) {
      expect(warnOfHiddenVisitors(readConfig({ ...env, HOST })), HOST).toContain('TRUST_PROXY=loopback')
    }
    for (const other of [{}, { ...env, TRUST_PROXY: 'loopback' }, { ...env, HOST: '0.0.0.0' }]) {
      expect(warnOfHiddenVisitors(readConfig(other))).toBeUndefined()
    }
  })

  it('is named once, with the first request that it forwards', () => {
    const lines: string[] = []
    const watch = watchForProxy(readConfig({ ...env, HOST: '0.0.0.0' }), (line) => lines.push(line))
    watch(request({}))
    watch(request({ 'x-forwarded-for': '192.0.2.1' }, '192.0.2.1'))
    expect(lines).toEqual([])
    watch(request({ 'cf-connecting-ip': '192.0.2.1' }, '::ffff:127.0.0.1'))
    watch(request({ 'x-forwarded-for': '192.0.2.1' }))
    expect(lines).toEqual([
      `Warning: a proxy or tunnel on this machine forwarded a request (cf-connecting-ip), and TRUST_PROXY is not set. ${remedy}`,
    ])
    for (const other of [{}, { ...env, TRUST_PROXY: 'loopback' }]) {
      watchForProxy(readConfig(other), () => expect.unreachable())(
        request({ 'x-forwarded-for': '192.0.2.1' }),
      )
    }
  })
})

it('lets a burst pass, then one message an interval', () => {
  const limit = createTokenBucket(3, 1000)
  expect([limit(0), limit(0), limit(0), limit(0)]).toEqual([0, 0, 0, 1000])
  expect([limit(999), limit(1000), limit(1000)]).toEqual([1, 0, 1000])
  expect([limit(60_000), limit(60_000), limit(60_000), limit(60_000)]).toEqual([0, 0, 0, 1000])
})

it('ends a socket that gives no sign of life for a whole interval', () => {
  vi.useFakeTimers()
  const socket = Object.assign(new EventEmitter(), { ping: vi.fn(), terminate: vi.fn() })
  watchHeartbeat(socket as unknown as WebSocket, 1000)
  vi.advanceTimersByTime(1500)
  socket.emit('pong')
  vi.advanceTimersByTime(1000)
  expect([socket.ping.mock.calls.length, socket.terminate.mock.calls.length]).toEqual([2, 0])
  vi.advanceTimersByTime(1000)
  expect(socket.terminate).toHaveBeenCalledOnce()
  socket.emit('close')
  vi.advanceTimersByTime(10_000)
  expect(socket.terminate).toHaveBeenCalledOnce()
  vi.useRealTimers()
})

it('escapes what stands in markup, once', () => {
  const row = html`<li title="${`"'><`}">${['<b>', html`<i>${'&'}</i>`]}${false}${undefined}${0}</li>`
  expect(row.toString()).toBe('<li title="&#34;&#39;&#62;&#60;">&#60;b&#62;<i>&#38;</i>0</li>')
})

it.each([
  ['/keys?x=1', '/keys?x=1'],
  ['//evil.example', '/nodes'],
  ['/\\evil.example', '/nodes'],
  ['https://evil.example', '/nodes'],
  ['/LOGIN', '/nodes'],
  ['/ws/chat', '/nodes'],
  [['/keys'], '/nodes'],
  [undefined, '/nodes'],
])('leads to a page after the login: %j', (next, place) => {
  expect(pageAfterLogin(next)).toBe(place)
})

describe('the audit trail', () => {
  const device = {
    kind: 'device',
    id: 'd',
    scheme: 'device-token',
    scopes: [],
    roles: ['node'],
    attributes: {},
  } as const

  it('is bounded in memory, and complete in the log', () => {
    const log: string[] = []
    const audit = createAudit({ now: () => 0, write: (line) => log.push(line), capacity: 3 })
    for (let count = 0; count < 5; count++) audit.record({ event: 'logged_in', principal: String(count) })
    expect(audit.list().map((line) => line.number)).toEqual([5, 4, 3])
    expect(log).toHaveLength(5)
  })

  it('cannot be flooded by clients without a credential, neither in memory nor in the log', () => {
    let now = 0
    const log: string[] = []
    const audit = createAudit({
      now: () => now,
      write: (line) => log.push(line),
      capacity: 10,
      strangersRate: 5,
    })
    for (let count = 0; count < 4; count++) audit.record({ event: 'logged_in', principal: String(count) })
    for (let count = 0; count < 1000; count++) audit.record({ event: 'login_failed' })
    expect(log).toHaveLength(4 + 20)
    expect(audit.list().filter((line) => line.event === 'logged_in')).toHaveLength(4)
    expect(audit.list()).toHaveLength(9)
    now = 200
    audit.record({ event: 'login_failed' })
    expect(audit.list()[0]).toMatchObject({ event: 'login_failed', suppressed: 980 })
    audit.record({ event: 'device_created' })
    for (let count = 0; count < 20; count++) audit.record({ event: 'logged_in' })
    expect(audit.list()).toHaveLength(10)
    expect(audit.list().filter((line) => line.event === 'login_failed')).toHaveLength(5)
  })

  it('is one line per event, without control characters for a terminal', () => {
    const log: string[] = []
    const audit = createAudit({ now: () => 0, write: (line) => log.push(line) })
    const place = { method: 'GET', path: '/\n\u001b[2J\u009b2J\u202e\u2028', clientAddress: undefined }
    audit.observe({
      type: 'refused',
      at: 0,
      place,
      code: 'auth_required',
      status: 401,
      detail: '',
      principal: undefined,
      rule: undefined,
    })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(log[0]).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u202e]/)
    expect(JSON.parse(log[0] ?? '').path).toBe(place.path)
  })

  it('leaves out the sockets of open pages, unless the gate ended them', () => {
    const audit = createAudit({ now: () => 0, write: () => {} })
    const opened = (connectionId: string, path: string) =>
      audit.observe({
        type: 'socket_accepted',
        at: 0,
        place: { method: 'GET', path, clientAddress: undefined },
        principal: device,
        connectionId,
      })
    const closed = (connectionId: string, reason?: string) =>
      audit.observe({ type: 'socket_closed', at: 0, principal: device, connectionId, reason })
    opened('1', '/ws/live')
    opened('2', '/ws')
    opened('3', '/ws/live')
    closed('1')
    closed('2')
    closed('3', 'revoked')
    expect(audit.list().map((line) => [line.event, line.connection])).toEqual([
      ['socket_closed', '3'],
      ['socket_closed', '2'],
      ['socket_accepted', '2'],
    ])
  })
})
