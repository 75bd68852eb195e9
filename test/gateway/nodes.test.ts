import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { connectNode, connectRequest, TestSocket } from './socket.ts'
import { bearer, loggedIn, type Visitor } from './visitor.ts'

let data: DataDir
let program: Program
let visitor: Visitor
beforeAll(async () => {
  data = temporaryDataDir()
  program = await startProgram({ dataDir: data.path, env: { HANDSHAKE_TIMEOUT_MS: '1500' } })
  visitor = await loggedIn(program.origin)
})
afterAll(async () => {
  await endAll()
  data.remove()
})

const open = (path: string, headers?: Record<string, string>) =>
  new TestSocket(program.origin + path, headers)
const cookie = (origin = program.origin) => ({ cookie: visitor.cookie ?? '', origin })

// Real deadlines on a machine that may be busy: a test fails only if it fails three times.
describe('a node without any HTTP credential', { retry: 2 }, () => {
  it('is upgraded, accepted by its token, and listed with the role and id of its record', async () => {
    const { id, token } = await visitor.device('kitchen')
    const socket = open('/ws')
    expect((await socket.upgraded).status).toBe(101)
    expect(await visitor.nodes()).toEqual([])
    // Its own claims only narrow.
    socket.send(
      connectRequest(token, { role: 'admin', scopes: ['operator.admin'], device: { id: 'somebody-else' } }),
    )
    expect(await socket.message()).toMatchObject({
      type: 'res',
      id: '1',
      ok: true,
      payload: {
        type: 'hello-ok',
        protocol: 4,
        auth: { role: 'node', scopes: [] },
        warnings: expect.any(Array),
      },
    })
    expect(await visitor.nodes()).toEqual([
      {
        id,
        connection: expect.any(String),
        name: 'kitchen',
        role: 'node',
        address: '127.0.0.1',
        addressHint: "may be a proxy's",
        connectedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      },
    ])
    const { devices } = (await visitor.get('/api/devices')).json() as { devices: Record<string, unknown>[] }
    expect(devices.find((device) => device.id === id)?.connected).toBe(true)

    socket.send({ type: 'req', id: 'a', method: 'whoami' })
    expect(await socket.message()).toEqual({
      type: 'res',
      id: 'a',
      ok: true,
      payload: { id, name: 'kitchen', role: 'node' },
    })
    socket.close()
    await expect.poll(() => visitor.nodes()).toEqual([])
  })

  it.each([
    [
      'wrong',
      (token: string) => `${token.slice(0, -1)}${token.endsWith('a') ? 'b' : 'a'}`,
      'invalid_credential',
    ],
    ['malformed', () => 'ugd_nonsense', 'invalid_credential'],
    ['of another kind', () => 'not a token at all', 'invalid_credential'],
    ['absent', () => '', 'auth_required'],
  ])('gets the error frame, then close code and reason, soon: token %s', async (_what, change, reason) => {
    const { token } = await visitor.device()
    const socket = open('/ws')
    await socket.upgraded
    const since = performance.now()
    socket.send(connectRequest(change(token)))
    const answer = await socket.message()
    expect(answer).toMatchObject({ type: 'res', id: '1', ok: false, error: { details: { reason } } })
    const { code, reason: closeReason, at } = await socket.closed
    // Older programs of OpenClaw drop a stored token by these words alone.
    const words = reason === 'invalid_credential' ? `${reason}: device token mismatch` : reason
    expect([code, closeReason]).toEqual([1008, words])
    // A second after the frame, and a busy machine needs more.
    expect(at - since).toBeLessThan(20_000)
    expect(socket.waiting).toEqual([])
  })

  it('learns that its token was revoked', async () => {
    const { id, token } = await visitor.device()
    await visitor.delete(`/api/devices/${id}`)
    const socket = open('/ws')
    await socket.upgraded
    const since = performance.now()
    socket.send(connectRequest(token))
    expect(await socket.message()).toMatchObject({
      ok: false,
      error: { details: { reason: 'revoked_credential' } },
    })
    const { code, reason, at } = await socket.closed
    expect([code, reason]).toEqual([1008, 'revoked_credential: device token mismatch'])
    expect(at - since).toBeLessThan(20_000)
  })

  it.each<[string, unknown]>([
    ['a number for a token', connectRequest(7)],
    ['no JSON', 'hello'],
    ['a list', []],
    ['another request', { type: 'req', id: '1', method: 'whoami' }],
    ['a binary frame', Buffer.from([1, 2, 3])],
  ])('is refused for frames that are no handshake: %s', async (_what, frame) => {
    const socket = open('/ws')
    await socket.upgraded
    socket.send(frame)
    const { code, reason } = await socket.closed
    expect([code, reason]).toEqual([1008, 'bad_handshake'])
  })

  it('is closed with 4408 at the deadline if it sends nothing', async () => {
    // The deadline begins before the client learns of the upgrade.
    const since = performance.now()
    const socket = open('/ws')
    await socket.upgraded
    const { code, reason, at } = await socket.closed
    expect([code, reason]).toEqual([4408, 'handshake_timeout'])
    expect(at - since).toBeGreaterThan(1400)
    // The default is ten seconds.
    expect(at - since).toBeLessThan(9000)
  })
})

describe('credentials that do not make a node', () => {
  it('a session cookie', async () => {
    const silent = open('/ws', cookie())
    expect((await silent.upgraded).status).toBe(101)
    silent.send(connectRequest(''))
    expect((await silent.closed).code).toBe(1008)
    expect(await visitor.nodes()).toEqual([])
  })

  it('a session token or an API key in the frame', async () => {
    const key = await visitor.key(['operator.read'])
    for (const token of [key.token, visitor.cookie?.split('=')[1] ?? '']) {
      const socket = open('/ws')
      await socket.upgraded
      socket.send(connectRequest(token))
      expect(await socket.message()).toMatchObject({ ok: false })
      expect((await socket.closed).code).toBe(1008)
    }
    expect(await visitor.nodes()).toEqual([])
  })

  it('a page of another origin, with the cookie or a token', async () => {
    for (const headers of [
      cookie('https://evil.example'),
      cookie('null'),
      { origin: `${program.origin}0` },
    ]) {
      expect((await open('/ws', headers).upgraded).status).toBe(403)
    }
  })
})

describe('sockets for browsers', () => {
  it('open with the session cookie of an allowed page', async () => {
    const socket = open('/ws/chat', cookie())
    expect((await socket.upgraded).status).toBe(101)
    expect(await socket.message()).toMatchObject({ type: 'welcome', from: 'ada@example.com' })
    socket.close()
  })

  it.each(['/ws/chat', '/ws/live'])('stay closed to all other clients: %s', async (path) => {
    const device = await visitor.device()
    const key = await visitor.key(['operator.read', 'operator.pairing', 'operator.admin'])
    expect((await open(path).upgraded).status).toBe(401)
    expect((await open(path, bearer(device.token).headers as Record<string, string>).upgraded).status).toBe(
      403,
    )
    expect((await open(path, bearer(key.token).headers as Record<string, string>).upgraded).status).toBe(403)
    expect((await open(path, cookie('https://evil.example')).upgraded).status).toBe(403)
    // Without Origin the client is no browser, and the cookie does not count.
    expect((await open(path, { cookie: visitor.cookie ?? '' }).upgraded).status).toBe(401)
  })

  it('end with the session', async () => {
    const other = await loggedIn(program.origin)
    const socket = open('/ws/chat', { cookie: other.cookie ?? '', origin: program.origin })
    await socket.messageOf('welcome')
    await other.post('/api/auth/logout', {})
    const { code } = await socket.closed
    expect([4401, 4403]).toContain(code)
  })

  it('are answered on unknown paths', async () => {
    expect((await open('/ws/nowhere', cookie()).upgraded).status).toBe(404)
    expect((await open('/ws/nowhere').upgraded).status).toBe(401)
  })
})

it('closes the live sockets of a device at once when it is revoked, and of no other', async () => {
  const [one, other] = [await visitor.device('one'), await visitor.device('other')]
  const sockets = [await connectNode(program.origin, one.token), await connectNode(program.origin, one.token)]
  const kept = await connectNode(program.origin, other.token)
  const page = open('/ws/live', cookie())
  await page.messageOf('nodes')
  expect(await visitor.nodes()).toHaveLength(3)

  const since = performance.now()
  await visitor.delete(`/api/devices/${one.id}`)
  for (const socket of sockets) {
    const { code, reason, at } = await socket.closed
    expect([code, reason]).toEqual([4403, 'revoked'])
    // Far above the goal of a second, because the machine may be busy.
    expect(at - since).toBeLessThan(20_000)
  }
  let list: unknown
  do list = (await page.messageOf('nodes')).nodes
  while ((list as unknown[]).length !== 1)
  expect(list).toMatchObject([{ id: other.id }])
  kept.close()
  page.close()
})

it('keeps the four newest sockets of a device', async () => {
  const { id, token } = await visitor.device('many')
  const sockets = []
  for (let count = 0; count < 5; count++) sockets.push(await connectNode(program.origin, token))
  expect(await sockets[0]?.closed).toMatchObject({ code: 4429, reason: 'too_many_sockets' })
  await expect.poll(async () => (await visitor.nodes()).filter((node) => node.id === id).length).toBe(4)
  await visitor.delete(`/api/devices/${id}`)
  for (const socket of sockets.slice(1)) expect(await socket.closed).toMatchObject({ code: 4403 })
})

describe('the chat', () => {
  const enter = async (who: Visitor) => {
    const socket = open('/ws/chat', { cookie: who.cookie ?? '', origin: program.origin })
    await socket.messageOf('welcome')
    return socket
  }

  it('carries messages between two browsers unchanged', async () => {
    const one = await enter(visitor)
    const other = await enter(await loggedIn(program.origin))
    const text = '<img src=x onerror=alert(1)> & "quotes"'
    one.send({ type: 'say', text, from: 'somebody else' })
    const seen = await other.messageOf('message')
    expect(seen).toMatchObject({ text, from: 'ada@example.com' })
    expect(await one.messageOf('message')).toEqual(seen)
    const late = open('/ws/chat', cookie())
    expect((await late.messageOf('welcome')).history).toContainEqual(seen)
    for (const socket of [one, other, late]) socket.close()
  })

  it('bounds size and rate, and does not affect other sockets', async () => {
    const quiet = await enter(visitor)
    const big = await enter(visitor)
    big.send({ type: 'say', text: 'x'.repeat(2001) })
    expect(await big.messageOf('error')).toMatchObject({ code: 'too_long' })
    big.send({ type: 'say', text: 'x'.repeat(20_000) })
    expect((await big.closed).code).toBe(1009)

    const odd = await enter(visitor)
    for (const message of ['no JSON', [], { type: 'say', text: 7 }, Buffer.from([0])]) {
      odd.send(message)
      expect(await odd.messageOf('error')).toMatchObject({ code: 'bad_message' })
    }
    const flood = await enter(visitor)
    const since = performance.now()
    for (let count = 0; count < 100; count++) flood.send({ type: 'say', text: `flood ${count}` })
    expect((await flood.closed).code).toBe(4429)
    const floods = quiet.waiting.filter((message) => String(message.text).startsWith('flood'))
    // Five at once, and one more each second, of which a busy machine may need some.
    expect(floods.length).toBeLessThanOrEqual(6 + (performance.now() - since) / 1000)

    quiet.send({ type: 'say', text: 'still here' })
    // The notice of a socket that left may arrive later, so this message need not be the last.
    const heard = (): boolean => quiet.waiting.some((message) => message.text === 'still here')
    await expect.poll(heard).toBe(true)
    for (const socket of [quiet, odd]) socket.close()
  })
})
