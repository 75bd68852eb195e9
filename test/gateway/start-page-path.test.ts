// `openclaw node run` takes a host and a port, and no path: its sockets arrive at `/`, where the start page is.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { GatewayClient } from '@openclaw/gateway-client'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { connectNode, connectRequest, TestSocket } from './socket.ts'
import { bearer, loggedIn, Visitor } from './visitor.ts'

let data: DataDir
let program: Program
let visitor: Visitor
beforeAll(async () => {
  data = temporaryDataDir()
  program = await startProgram({ dataDir: data.path })
  visitor = await loggedIn(program.origin)
})
afterAll(async () => {
  await endAll()
  data.remove()
})

const open = (headers?: Record<string, string>) => new TestSocket(`${program.origin}/`, headers)

it('a published client without a path pairs with a code, is approved, and connects', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
  const { code } = (await visitor.post('/api/pairings/codes', {})).json()
  const stored: string[] = []
  let accepted = (): void => {}
  const hello = new Promise<void>((resolve) => {
    accepted = resolve
  })
  const client = new GatewayClient({
    url: program.origin.replace('http', 'ws'),
    role: 'node',
    mode: 'node',
    clientName: 'node-host',
    scopes: [],
    bootstrapToken: String(code),
    deviceIdentity: {
      deviceId: createHash('sha256').update(raw).digest('hex'),
      publicKeyPem: raw.toString('base64url'),
      privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    },
    hostDeps: {
      signDevicePayload: (pem, payload) => sign(null, Buffer.from(payload), pem).toString('base64url'),
      publicKeyRawBase64UrlFromPem: (key) => key,
      loadDeviceAuthToken: () => null,
      storeDeviceAuthToken: ({ token }) => void stored.push(token),
    },
    onHelloOk: accepted,
  })
  client.start()
  try {
    const pending = async () =>
      (await visitor.get('/api/pairings')).json().requests as { readonly id: string }[]
    await expect.poll(async () => (await pending()).length).toBe(1)
    const [request] = await pending()
    expect((await visitor.post(`/api/pairings/${request?.id}/approve`, {})).status).toBe(200)
    await hello
    expect(stored).toEqual([expect.stringMatching(/^ugd_/)])
    expect(await visitor.nodes()).toMatchObject([{ name: 'node-host', role: 'node' }])
  } finally {
    client.stop()
  }
  await expect.poll(() => visitor.nodes()).toEqual([])
})

it('pages and programs get the same answers there as before', async () => {
  const stranger = new Visitor(program.origin)
  const page = await stranger.get('/', { headers: { accept: 'text/html' } })
  expect([page.status, page.header('location')]).toEqual([303, '/login?next=%2F'])
  const start = await visitor.get('/', { headers: { accept: 'text/html' } })
  expect([start.status, start.header('location')]).toEqual([303, '/nodes'])
  // A device may connect there, and still reads no page.
  const { token } = await visitor.device()
  const answers = await Promise.all([stranger.get('/', bearer(token)), stranger.post('/', {})])
  expect(answers.map((answer) => answer.status)).toEqual([403, 401])
})

it('a session cookie, a foreign page or an API key makes no node there', async () => {
  const foreign = open({ cookie: visitor.cookie ?? '', origin: 'https://evil.example' })
  expect((await foreign.upgraded).status).toBe(403)
  const { token } = await visitor.key(['operator.read'])
  for (const [headers, credential] of [
    [{ cookie: visitor.cookie ?? '', origin: program.origin }, ''],
    [{}, token],
  ] as const) {
    const socket = open(headers)
    await socket.upgraded
    socket.send(connectRequest(credential))
    expect((await socket.closed).code).toBe(1008)
  }
  expect(await visitor.nodes()).toEqual([])
})

it('a device has four sockets on both paths together', async () => {
  const { id, token } = await visitor.device('many')
  const first = await connectNode(program.origin, token)
  for (let count = 0; count < 4; count++) {
    const socket = open()
    await socket.upgraded
    socket.send(connectRequest(token))
    expect(await socket.message()).toMatchObject({ ok: true })
  }
  expect(await first.closed).toMatchObject({ code: 4429, reason: 'too_many_sockets' })
  await visitor.delete(`/api/devices/${id}`)
})
