// People log in at the front; their requests and sockets reach the gateway with what the front knows, and nothing that
// they claimed.
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { createEdgeSim } from '@upgate/edge-sim'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { admin, logIn, newDevice, type StageFront, startStageFront } from './stage/front.ts'
import { type StageGateway, startGateway } from './stage/gateway.ts'
import { newKey, StageNode } from './stage/node.ts'

let gateway: StageGateway
let stage: StageFront
let cookie: string
beforeAll(async () => {
  gateway = await startGateway()
  stage = await startStageFront(gateway.port)
  cookie = await logIn(stage.front)
})
afterAll(async () => {
  await stage.close()
  await gateway.close()
})

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string
}

/** Sends exactly these headers. */
function ask(path: string, { method = 'GET', headers = {}, body }: Asked = {}, port = stage.front.port) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>(
    (resolve, reject) => {
      const sent = httpRequest({
        host: '127.0.0.1',
        port,
        method,
        path,
        headers: { ...headers } as Record<string, string>,
      })
      sent.once('error', reject)
      sent.once('response', (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += chunk
        })
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        )
      })
      sent.end(body)
    },
  )
}

/** Bytes on a bare connection; answers with everything that comes back within a moment of silence. */
function raw(text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(stage.front.port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
      socket.setTimeout(300)
    })
    socket.on('error', () => {})
    // A busy machine needs longer for the beginning of an answer.
    socket.setTimeout(5000, () => socket.destroy())
    socket.once('close', () => resolve(answer))
  })
}

describe('pages', () => {
  it('send a stranger to the login, and a program away', async () => {
    const before = gateway.requests.length
    const page = await ask('/chat?x=1', { headers: { accept: 'text/html' } })
    expect(page).toMatchObject({ status: 303, headers: { location: '/_front/login?next=%2Fchat%3Fx%3D1' } })
    expect((await ask('/api/x')).status).toBe(401)
    expect((await ask('/')).status).toBe(401)
    const form = await ask(`/_front/login?next=${encodeURIComponent('/"><script>')}`)
    expect(form.body).toContain('value="/&#34;&#62;&#60;script&#62;"')
    expect(gateway.requests.length).toBe(before)
  })

  it('log in by form, and out', async () => {
    const body = new URLSearchParams({ ...admin, next: '/chat' }).toString()
    const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: stage.front.origin }
    const done = await ask('/_front/login', { method: 'POST', headers, body })
    expect(done).toMatchObject({ status: 303, headers: { location: '/chat' } })
    const own = (done.headers['set-cookie'] as string[]).map((each) => each.split(';')[0]).join('; ')
    expect((await ask('/chat', { headers: { cookie: own } })).status).toBe(200)
    await ask('/_front/logout', { method: 'POST', headers: { cookie: own, origin: stage.front.origin } })
    expect((await ask('/chat', { headers: { cookie: own } })).status).toBe(401)
    const wrong = new URLSearchParams({ email: admin.email, password: 'wrong' }).toString()
    const refused = await ask('/_front/login', { method: 'POST', headers, body: wrong })
    expect(refused).toMatchObject({ status: 401, body: expect.stringContaining('do not fit together') })
    // Elsewhere on the network, a page tries to log a user in as its own.
    const foreign = { ...headers, origin: 'https://evil.example' }
    expect((await ask('/_front/login', { method: 'POST', headers: foreign, body })).status).toBe(403)
  })

  it('reach the gateway as the account, with an address of the client that the front counted', async () => {
    const answer = await ask('/api/items?b=2', {
      method: 'POST',
      headers: {
        cookie: `${cookie}; claw=1; CF_Authorization=jwt`,
        'content-type': 'text/plain',
        origin: stage.front.origin,
        'x-forwarded-for': '6.6.6.6, 203.0.113.9',
        'x-forwarded-user': 'root@example.com',
        X_Forwarded_User: 'root@example.com',
        'X.Forwarded.User': 'root@example.com',
        'X~OpenClaw~Scopes': 'root',
        'x-openclaw-scopes': 'operator.admin',
        'x-real-ip': '127.0.0.1',
        forwarded: 'for=127.0.0.1',
        'cf-access-authenticated-user-email': 'root@example.com',
        'remote-user': 'root',
        'tailscale-user-login': 'root',
        connection: 'x-inner, content-length',
        'x-inner': 'of this connection',
        te: 'trailers',
      },
      body: 'hello',
    })
    expect(JSON.parse(answer.body)).toEqual({ method: 'POST', url: '/api/items?b=2', body: 'hello' })
    const { headers, rawHeaders } = gateway.requests.at(-1) as (typeof gateway.requests)[number]
    expect(headers).toMatchObject({
      host: new URL(stage.front.origin).host,
      origin: stage.front.origin,
      cookie: 'claw=1',
      'x-forwarded-for': '203.0.113.9',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': new URL(stage.front.origin).host,
      'x-forwarded-user': admin.email,
      'content-length': '5',
    })
    expect(headers['x-openclaw-scopes']?.toString().split(',')).toContain('operator.read')
    const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
    for (const gone of ['x-real-ip', 'forwarded', 'remote-user', 'x-inner', 'te', 'x_forwarded_user'])
      expect(names).not.toContain(gone)
    expect(JSON.stringify(headers)).not.toMatch(/root|front_session|6\.6\.6\.6|CF_Authorization/)
  })

  it('no Origin that the gate did not have to allow reaches the gateway', async () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const headers = { cookie, origin: 'https://evil.example' }
      expect((await ask('/api/items', { method, headers })).status).toBe(200)
      expect(gateway.requests.at(-1)).toMatchObject({ method })
      expect(gateway.requests.at(-1)?.headers.origin).toBeUndefined()
    }
  })

  it("the gateway's answer loses what belongs to one connection, or to the front", async () => {
    const { headers } = await ask('/cookies', { headers: { cookie } })
    expect(headers['set-cookie']).toEqual(['claw=1; Path=/'])
    expect(headers['upgate-refusal']).toBeUndefined()
    expect(headers['x-secret']).toBeUndefined()
  })

  it('join links are open, once, and carry no body; other links look like nothing', async () => {
    const body = { 'content-length': '3' }
    expect((await ask('/j/join-me', { headers: body, body: 'abc' })).status).toBe(413)
    const extra = { authorization: 'Bearer x', cookie, 'x-forwarded-for': '127.0.0.1' }
    expect(await ask('/j/join-me', { headers: extra })).toMatchObject({ status: 200 })
    expect(gateway.requests.at(-1)?.headers.authorization).toBeUndefined()
    expect(gateway.requests.at(-1)?.headers.cookie).toBeUndefined()
    expect(await ask('/j/join-me')).toMatchObject({ status: 404, body: '' })
    expect(gateway.requests.at(-1)?.headers['x-forwarded-user']).toBeUndefined()
    expect((await ask('/j/join-me/more')).status).toBe(401)
  })

  it('a device is no person', async () => {
    const { token } = await newDevice(stage.front)
    expect((await ask('/api/items', { headers: { authorization: `Bearer ${token}` } })).status).toBe(403)
    expect((await ask('/_front/api/devices', { headers: { authorization: `Bearer ${token}` } })).status).toBe(
      403,
    )
  })

  it.each([
    ['//evil/x', 400],
    ['/a/../_front/api/devices', 400],
    ['/a/%2e%2e/b', 400],
    ['/a%2fb', 400],
    ['/a\\b', 400],
    ['http://evil.example/x', 400],
    ['/_FRONT/api/devices', 404],
    ['/j/..%2fapi', 400],
  ])('a path that two servers could read in two ways stays here: %s', async (path, status) => {
    const before = gateway.requests.length
    const answer = await ask(path, { headers: { cookie } })
    expect([400, status]).toContain(answer.status)
    expect(gateway.requests.length).toBe(before)
  })

  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
  it.each([
    ['two lengths', 'POST', 'Content-Length: 5\r\nContent-Length: 6', 'abcdef'],
    [
      'a length and chunks',
      'POST',
      'Content-Length: 4\r\nTransfer-Encoding: chunked',
      `0\r\n\r\n${smuggled}`,
    ],
    [
      'a length that the connection takes back',
      'GET',
      `Connection: content-length\r\nContent-Length: ${smuggled.length}`,
      smuggled,
    ],
    [
      'chunks that the connection takes back',
      'GET',
      'Connection: transfer-encoding\r\nTransfer-Encoding: chunked',
      `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
    ],
    ['an odd encoding', 'POST', 'Transfer-Encoding: xchunked', `0\r\n\r\n${smuggled}`],
    ['a length with a sign', 'POST', 'Content-Length: +0', smuggled],
    ['a header line with a space', 'POST', 'Content-Length : 0', smuggled],
    ['a bare line feed', 'POST', 'X: y\nContent-Length: 0\n', smuggled],
    [
      'an upgrade with a body',
      'GET',
      `Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: ${smuggled.length}`,
      smuggled,
    ],
  ])('no request is smuggled to the gateway: %s', async (_what, method, lines, body) => {
    const before = gateway.requests.length
    const { host } = new URL(stage.front.origin)
    await raw(`${method} /x HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\n${lines}\r\n\r\n${body}`)
    await ask('/after', { headers: { cookie } })
    const urls = gateway.requests.slice(before).map(({ url }) => url)
    expect(urls).not.toContain('/smuggled')
    expect(urls.at(-1)).toBe('/after')
  })

  it('a gateway that breaks off looks broken, and one that says nothing is 502', async () => {
    expect(await ask('/gone', { headers: { cookie } })).toMatchObject({
      status: 502,
      body: expect.stringContaining('upstream_unreachable'),
    })
    await expect(
      fetch(`${stage.front.origin}/broken`, { headers: { cookie } }).then((r) => r.text()),
    ).rejects.toThrow()
  })

  it('a running answer ends with the session', async () => {
    const own = await logIn(stage.front)
    const ended = new Promise<void>((resolve, reject) => {
      const sent = httpRequest({
        host: '127.0.0.1',
        port: stage.front.port,
        path: '/events',
        headers: { cookie: own },
      })
      sent.on('error', reject)
      sent.on('response', (response) => {
        response.on('error', () => {})
        response.once('data', () => {
          void ask('/_front/logout', { method: 'POST', headers: { cookie: own, origin: stage.front.origin } })
        })
        response.once('close', resolve)
      })
      sent.end()
    })
    await ended
  })
})

describe('sockets of pages', () => {
  const open = (path: string, headers: Record<string, string>): Promise<number | WebSocket> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${stage.front.port}${path}`, { headers })
      socket.on('error', () => {})
      socket.once('open', () => resolve(socket))
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
    })

  it('pass with cookie and own Origin: the page does its handshake with the gateway', async () => {
    const node = new StageNode(stage.front.port, newKey(), {
      headers: { cookie, origin: stage.front.origin },
    })
    expect(await node.connect()).toMatchObject({ ok: true })
    const { user, socket } = gateway.accepted.at(-1) ?? {}
    expect(user).toBe(admin.email)
    expect(gateway.upgrades.at(-1)?.headers).toMatchObject({
      origin: stage.front.origin,
      host: new URL(stage.front.origin).host,
      'x-forwarded-user': admin.email,
    })
    expect(gateway.upgrades.at(-1)?.headers.cookie).toBeUndefined()
    expect(stage.front.waiting).toBe(0)
    node.socket.close(1000, 'bye')
    await expect.poll(() => socket?.readyState).toBe(3)
  })

  it('other paths pass as well, with their query', async () => {
    const socket = await open('/canvas/ws?x=1', { cookie, origin: stage.front.origin })
    expect(socket).toBeInstanceOf(WebSocket)
    await expect.poll(() => gateway.upgrades.at(-1)?.url).toBe('/canvas/ws?x=1')
    ;(socket as WebSocket).terminate()
  })

  it('no other page, no other cookie, nobody without a login', async () => {
    const before = gateway.upgrades.length
    expect(await open('/', { cookie, origin: 'https://evil.example' })).toBe(403)
    expect(await open('/canvas/ws', { cookie, origin: 'https://evil.example' })).toBe(403)
    expect(await open('/canvas/ws', { cookie })).toBe(401)
    expect(await open('/canvas/ws', {})).toBe(401)
    // Without an Origin it is no page: it has to prove itself like a node.
    const socket = (await open('/', { cookie })) as WebSocket
    socket.send('{"type":"req","id":"1","method":"x"}')
    await new Promise((resolve) => socket.once('close', resolve))
    expect(gateway.upgrades.length).toBe(before)
  })

  it('end with the session, at the gateway too', async () => {
    const own = await logIn(stage.front)
    const node = new StageNode(stage.front.port, newKey(), {
      headers: { cookie: own, origin: stage.front.origin },
    })
    await node.connect()
    const entry = gateway.accepted.at(-1)
    const since = performance.now()
    await ask('/_front/logout', { method: 'POST', headers: { cookie: own, origin: stage.front.origin } })
    await expect.poll(() => entry?.socket.readyState).toBe(3)
    // Far above the goal of a second, because the machine may be busy.
    expect(performance.now() - since).toBeLessThan(20_000)
    expect((await node.closed).code).toBe(4403)
  })

  it('workers reach the gateway with their own credential', async () => {
    const headers = { authorization: 'Bearer of-the-worker', 'x-forwarded-user': 'root' }
    const socket = (await open('/__openclaw__/worker', headers)) as WebSocket
    await expect.poll(() => gateway.upgrades.at(-1)?.url).toBe('/__openclaw__/worker')
    expect(gateway.upgrades.at(-1)?.headers).toMatchObject({ authorization: 'Bearer of-the-worker' })
    expect(gateway.upgrades.at(-1)?.headers['x-forwarded-user']).toBeUndefined()
    socket.terminate()
    expect((await ask('/__openclaw__/worker')).status).toBe(401)
  })
})

describe('other logins', () => {
  it('Cloudflare Access is mapped to an account; a node brings its service token and proves itself besides', async () => {
    const sim = createEdgeSim({
      users: [{ email: admin.email }, { email: 'eve@example.com' }],
      applications: [
        {
          name: 'claw',
          host: 'claw.example.com',
          policies: [{ action: 'service_auth' }, { action: 'allow' }],
        },
      ],
    })
    await sim.start()
    const own = await startStageFront(gateway.port, {
      LOGIN: 'access',
      ADMIN_PASSWORD: '',
      PUBLIC_URL: 'https://claw.example.com',
      CF_ACCESS_TEAM: 'acme',
      CF_ACCESS_AUD: sim.application('claw').aud,
      CF_ACCESS_SIMULATOR: sim.url,
    })
    const host = 'claw.example.com'
    const as = async (email: string) => ({
      headers: { host, 'cf-access-jwt-assertion': await sim.issueUserToken('claw', email) },
    })
    const page = await ask('/x', await as(admin.email), own.front.port)
    expect(page.status).toBe(200)
    const { headers } = gateway.requests.at(-1) as (typeof gateway.requests)[number]
    expect(headers['x-forwarded-user']).toBe(admin.email)
    expect(headers['cf-access-jwt-assertion']).toBeUndefined()
    expect((await ask('/x', await as('eve@example.com'), own.front.port)).status).toBe(403)
    expect((await ask('/_front/login', { headers: { host } }, own.front.port)).status).toBe(403)

    // The service token opens the edge for a node. Here it grants nothing; the device token in the frame does.
    const { clientId } = sim.addServiceToken({ name: 'cellar' })
    const edge = { host, 'cf-access-jwt-assertion': await sim.issueServiceAssertion('claw', clientId) }
    expect((await ask('/x', { headers: edge }, own.front.port)).status).toBe(403)
    const { token } = await newDevice(own.front)
    for (const [auth, ok] of [
      [{ deviceToken: token }, true],
      [{}, false],
    ] as const) {
      const node = new StageNode(own.front.port, newKey(), { headers: edge })
      const { params, ...request } = await node.request()
      const { device: _, ...rest } = params as Record<string, unknown>
      node.socket.send(JSON.stringify({ ...request, params: { ...rest, auth } }))
      expect(await node.message()).toMatchObject({ ok })
      node.socket.terminate()
    }
    await own.close()
    await sim.stop()
  })

  it('a header of a named proxy is mapped to an account; from another peer it is nothing', async () => {
    const own = await startStageFront(gateway.port, {
      LOGIN: 'header',
      ADMIN_PASSWORD: '',
      IDENTITY_HEADERS: 'authelia',
      IDENTITY_PEERS: '127.0.0.1',
      IDENTITY_TRUST_SHARED_PEERS: 'yes',
    })
    const as = (email: string) => ({ headers: { 'remote-user': 'u', 'remote-email': email } })
    expect((await ask('/x', as(admin.email), own.front.port)).status).toBe(200)
    expect(gateway.requests.at(-1)?.headers['x-forwarded-user']).toBe(admin.email)
    expect(gateway.requests.at(-1)?.headers['remote-email']).toBeUndefined()
    expect((await ask('/x', as('eve@example.com'), own.front.port)).status).toBe(403)
    expect((await ask('/x', {}, own.front.port)).status).toBe(401)
    expect((await ask('/_front/login', {}, own.front.port)).status).toBe(404)
    await own.close()
    const far = await startStageFront(gateway.port, {
      LOGIN: 'header',
      ADMIN_PASSWORD: '',
      IDENTITY_HEADERS: 'authelia',
      IDENTITY_PEERS: '192.0.2.1',
    })
    expect((await ask('/x', as(admin.email), far.front.port)).status).toBe(401)
    await far.close()
  })
})
