import { once } from 'node:events'
import { request } from 'node:http'
import type { EdgeSim } from '@upgate/edge-sim'
import { describe, expect, test } from 'vitest'
import { cleanUp, raw, startOrigin, startSim } from './helpers.ts'

cleanUp()

const APP = 'https://app.example.com'
const SPOOFS = {
  'Cf-Access-Jwt-Assertion': 'spoofed',
  'Cf-Access-Authenticated-User-Email': 'admin@example.com',
}

async function admitted(sim: EdgeSim): Promise<Record<string, string>> {
  return { 'cf-access-token': await sim.issueUserToken('app', 'anna@example.com') }
}

describe('what the origin sees', () => {
  test('edge headers are set, client headers of those names dropped, addresses appended', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const service = sim.addServiceToken({ name: 'ci' })
    await sim.fetch(`${APP}/p%2Fq?x=1`, {
      method: 'POST',
      body: 'hello',
      headers: {
        ...service.headers,
        ...SPOOFS,
        'CF-Connecting-IP': '10.0.0.1',
        'CF-Ray': 'spoofed',
        'CF-Visitor': 'spoofed',
        'X-Forwarded-Proto': 'spoofed',
        'X-Forwarded-For': '10.0.0.2',
        'CDN-Loop': 'other',
        'Edge-Sim-Client-Ip': '198.51.100.7',
        cookie: 'a=b; CF_Authorization=old; c=d',
      },
    })
    const { headers, url, method, body, peer } = origin.last
    expect({ url, method, body, peer }).toEqual({
      url: '/p%2Fq?x=1',
      method: 'POST',
      body: 'hello',
      peer: '127.0.0.1',
    })
    expect(headers).toMatchObject({
      host: 'app.example.com',
      'cf-connecting-ip': '198.51.100.7',
      'cf-visitor': '{"scheme":"https"}',
      'cf-ray': expect.stringMatching(/^[0-9a-f]{16}-SIM$/),
      'cdn-loop': 'other, cloudflare; loops=1',
      'x-forwarded-for': '10.0.0.2, 198.51.100.7',
      'x-forwarded-proto': 'https',
      'cf-access-jwt-assertion': expect.stringMatching(/^ey/),
    })
    for (const name of [
      'cf-access-client-id',
      'cf-access-client-secret',
      'edge-sim-client-ip',
      'edge-sim-host',
    ]) {
      expect(headers).not.toHaveProperty(name)
    }
    expect(headers).not.toHaveProperty('cf-access-authenticated-user-email')
  })

  test('spoofed assertions are overwritten however they are spelt or doubled', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const { 'cf-access-token': token } = await admitted(sim)
    await raw(
      sim.port,
      `GET / HTTP/1.1\r\nHost: app.example.com\r\nCf-Access-Token: ${token}\r\n` +
        'CF-ACCESS-JWT-ASSERTION: one\r\ncf-access-jwt-assertion: two\r\n' +
        'Cf-Access-Authenticated-User-Email: admin@example.com\r\n' +
        'Connection: close, Cf-Access-Jwt-Assertion, CF-Connecting-IP, Host\r\n\r\n',
    )
    const assertions = origin.last.rawHeaders.filter((_, index, all) =>
      all[index - 1]?.toLowerCase().startsWith('cf-access-'),
    )
    expect(assertions).toEqual([token, 'anna@example.com'])
    expect(origin.last.headers['cf-connecting-ip']).toBe('203.0.113.10')
    expect(origin.last.headers.host).toBe('app.example.com')
  })

  test('a Bypass policy and an ungated host add no assertion and let spoofed headers through', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'] })
    sim.addApplication({
      name: 'hook',
      host: 'app.example.com',
      path: '/hook',
      policies: [{ action: 'bypass' }],
    })
    for (const url of [`${APP}/hook`, 'https://open.example.com/']) {
      expect((await sim.fetch(url, { headers: SPOOFS })).status).toBe(200)
      expect(origin.last.headers).toMatchObject({
        'cf-access-jwt-assertion': 'spoofed',
        'cf-access-authenticated-user-email': 'admin@example.com',
        'cf-connecting-ip': '203.0.113.10',
      })
    }
    expect(sim.log.map(({ outcome }) => outcome)).toEqual(['bypassed', 'ungated'])
  })

  test('a Bypass policy for some addresses leaves the others gated', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    sim.configureApplication('app', {
      policies: [{ action: 'bypass', addresses: ['198.51.100.7'] }, { action: 'allow' }],
    })
    const from = async (address: string): Promise<number> =>
      (await sim.fetch(APP, { redirect: 'manual', headers: { 'edge-sim-client-ip': address } })).status
    expect([await from('198.51.100.7'), await from('198.51.100.8'), await from('nonsense')]).toEqual([
      200, 302, 302,
    ])
  })

  test('applications of one host may have origins of their own', async () => {
    const [one, two] = [await startOrigin(), await startOrigin()]
    const sim = await startSim({ upstream: one.url })
    sim.addApplication({
      name: 'b',
      host: 'b.example.com',
      upstream: two.url,
      policies: [{ action: 'bypass' }],
    })
    sim.addHost('c.example.com', two.url)
    await sim.fetch('https://b.example.com/')
    await sim.fetch('https://c.example.com/')
    expect([one.seen.length, two.seen.map(({ headers }) => headers.host)]).toEqual([
      0,
      ['b.example.com', 'c.example.com'],
    ])
  })
})

describe('hostile requests', () => {
  test.each([
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: app.example.com\r\nHost: open.example.com\r\n'],
    ['absolute form', 'GET http://open.example.com/ HTTP/1.1\r\nHost: app.example.com\r\n'],
    ['a Host with a path', 'GET / HTTP/1.1\r\nHost: app.example.com/x\r\n'],
    ['asterisk form', 'OPTIONS * HTTP/1.1\r\nHost: app.example.com\r\n'],
    [
      'both lengths',
      'POST / HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n',
    ],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 3\r\nContent-Length: 4\r\n'],
    [
      'a space before the colon',
      'GET / HTTP/1.1\r\nHost: app.example.com\r\nCf-Access-Jwt-Assertion : x\r\n',
    ],
    [
      'an upgrade with a body',
      'GET / HTTP/1.1\r\nHost: open.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n',
    ],
    ['non-ASCII in the target', 'GET /\xff HTTP/1.1\r\nHost: open.example.com\r\n'],
  ])('%s: 400, and the origin sees nothing', async (_, head) => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'] })
    const close = head.includes('Connection:') ? '' : 'Connection: close\r\n'
    const answer = await raw(sim.port, `${head}${close}\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(origin.seen).toHaveLength(0)
  })

  test('TRACE is refused, an unknown host is 404', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    expect(
      await raw(sim.port, 'TRACE / HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n'),
    ).toMatch(/^HTTP\/1\.1 405 /)
    expect(await raw(sim.port, 'GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 404 /,
    )
    expect(origin.seen).toHaveLength(0)
  })

  test.each(['/pub/../admin', '/%61dmin', '//admin', '/.//admin', '/pub\\..\\admin', '/pub/%2e%2e/admin'])(
    'applications are matched by the normal path, %s is forwarded as it came',
    async (target) => {
      const origin = await startOrigin()
      const sim = await startSim({ upstream: origin.url, applications: [] })
      sim.addApplication({ name: 'pub', host: 'app.example.com', policies: [{ action: 'bypass' }] })
      sim.addApplication({
        name: 'admin',
        host: 'app.example.com',
        path: '/admin',
        policies: [{ action: 'service_auth' }],
      })
      const { headers } = sim.addServiceToken({ name: 'ci' })
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      const head = `GET ${target} HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n`
      expect(await raw(sim.port, `${head}\r\n`)).toMatch(/^HTTP\/1\.1 403 /)
      expect(await raw(sim.port, `${head}${lines.join('')}\r\n`)).toMatch(/^HTTP\/1\.1 200 /)
      expect(origin.last.url).toBe(target)
    },
  )
})

describe('streaming', () => {
  test('an event stream arrives chunk by chunk, headers first', async () => {
    let write: ((text: string) => void) | undefined
    const origin = await startOrigin((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.flushHeaders()
      write = (text) => void res.write(text)
      return true
    })
    const sim = await startSim({ upstream: origin.url })
    const response = await sim.fetch(APP, { headers: await admitted(sim) })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    const reader = response.body?.getReader()
    for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
      write?.(text)
      expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe(text)
    }
    await reader?.cancel()
  })

  test('a client that leaves takes the origin’s request with it', async () => {
    let left: Promise<unknown> | undefined
    const origin = await startOrigin((req, res) => {
      left = once(req.socket, 'close')
      res.writeHead(200)
      res.write('x')
      return true
    })
    const sim = await startSim({ upstream: origin.url })
    const controller = new AbortController()
    await sim.fetch(APP, { headers: await admitted(sim), signal: controller.signal })
    controller.abort()
    await left
  })

  test('back-pressure reaches the origin: a client that does not read stops it', async () => {
    const total = 48 * 1024 * 1024
    let sent = 0
    const origin = await startOrigin((req, res) => {
      if (req.url !== '/large') return false
      const chunk = Buffer.alloc(256 * 1024)
      const push = (): void => {
        while (sent < total) {
          sent += chunk.length
          if (!res.write(chunk)) return void res.once('drain', push)
        }
        res.end()
      }
      push()
      return true
    })
    const sim = await startSim({ upstream: origin.url })
    const headers = await admitted(sim)
    const to = sim.to(`${APP}/large`)
    const req = request(to.url, { headers: { ...to.headers, ...headers } }).end()
    const [res] = (await once(req, 'response')) as [import('node:http').IncomingMessage]
    res.pause()
    // Other requests pass the time: when the origin sends nothing more while they do, it has been stopped.
    for (let before = -1; before !== sent; ) {
      before = sent
      for (let index = 0; index < 5; index++) await (await sim.fetch(APP, { headers })).text()
    }
    expect(sent).toBeLessThan(total)
    let received = 0
    for await (const part of res) received += (part as Buffer).length
    expect(received).toBe(total)
  })

  test('bodies go up chunked or sized, methods without a body get length 0, many cookies come back', async () => {
    const origin = await startOrigin((req, res) => {
      res.setHeader('set-cookie', ['a=1', 'b=2'])
      if (req.url !== '/early') return false
      res.writeHead(413).end('too much')
      return true
    })
    const sim = await startSim({ upstream: origin.url })
    const headers = await admitted(sim)
    const stream = new Blob(['x'.repeat(100_000)]).stream()
    const sent = await sim.fetch(APP, { method: 'PUT', body: stream, headers, duplex: 'half' } as RequestInit)
    expect([sent.headers.getSetCookie(), origin.last.body.length]).toEqual([['a=1', 'b=2'], 100_000])
    const to = sim.to(APP)
    const chunked = request(to.url, { method: 'POST', headers: { ...to.headers, ...headers } })
    chunked.write('ab')
    chunked.end('cd')
    await once(chunked, 'response')
    expect([origin.last.body, origin.last.headers['transfer-encoding']]).toEqual(['abcd', 'chunked'])
    await sim.fetch(APP, { method: 'POST', headers })
    expect(origin.last.headers['content-length']).toBe('0')
    const early = await sim.fetch(`${APP}/early`, { method: 'POST', body: 'x'.repeat(1_000_000), headers })
    expect([early.status, await early.text()]).toEqual([413, 'too much'])
    expect((await sim.fetch(APP, { method: 'HEAD', headers })).status).toBe(200)
  })
})
