import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createEdgeSim } from '@upgate/edge-sim'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { cleanUp, later, start, startGate, upgate } from './helpers.ts'

cleanUp()

/* `upgate node` against real gates: it pairs, stays, and says why not. */

const operator = { unbounded: 'test' } as const

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'upgate-node-'))
  later(() => rm(path, { recursive: true }))
  return path
}

async function codeOf(services: Awaited<ReturnType<typeof startGate>>['services']): Promise<string> {
  const made = await services.pairing.bootstrap.create({
    actor: operator,
    role: 'node',
    scopes: ['node.read'],
  })
  if (!('code' in made)) throw new Error('No code was made.')
  return made.code
}

describe('a key', () => {
  test.each(['/connect', '/ours'])(
    'is created, paired, kept, and suffices from then on (%s)',
    async (path) => {
      const { origin, port, services } = await startGate()
      const home = await folder()
      const file = join(home, '.config', 'upgate', 'nodes', `127.0.0.1_${port}.json`)
      const code = await codeOf(services)
      const env = { HOME: home }
      const argv = ['node', origin + path, '--name', 'kitchen', '--scopes', 'node.read']
      const node = start([...argv, '--code-file', '-'], { env, input: `${code}\n` })
      await node.printed('Comparison code: ')
      expect(node.out()).toContain(`A key was created for this device: ${file}`)
      expect(statSync(file).mode & 0o777).toBe(0o600)
      expect(statSync(join(home, '.config', 'upgate')).mode & 0o777).toBe(0o700)
      const [request] = await services.pairing.pending()
      expect(request).toMatchObject({ name: 'kitchen', role: 'node', scopes: ['node.read'] })
      expect(node.out()).toContain(`Comparison code: ${request?.comparisonCode}`)
      await services.pairing.approve(request?.id ?? '', { actor: operator })
      await node.printed('Accepted as ')
      expect(node.out()).toContain(`Paired: the token is kept next to the key, in ${file}`)
      const { deviceToken, privateKey, gateway } = JSON.parse(readFileSync(file, 'utf8'))
      expect(gateway).toBe(`127.0.0.1:${port}`)
      expect(await node.stop()).toBe(130)
      expect(node.out()).toMatch(/ Closed\.\n$/)
      expect(existsSync(`${file}.new`)).toBe(false)

      const again = start(argv, { env })
      await again.printed('Accepted as ')
      expect(again.out()).toContain('scopes: node.read')
      expect(again.out()).not.toContain('Paired')
      for (const secret of [deviceToken, code, privateKey, privateKey.split('\n')[1]]) {
        expect(node.out() + again.out()).not.toContain(secret)
      }

      // Without its device, neither token nor key counts: the node ends and says why.
      const [device] = await services.devices.list()
      await services.devices.revoke(device?.id ?? '')
      expect(await again.status).toBe(3)
      expect(again.out()).toMatch(
        /origin-auth, (revoked|revoked_credential|close_forbidden|invalid_credential)\)/,
      )
      expect(again.out()).toContain('Next: ')
      // A new code pairs it again, although its file holds a token that was revoked.
      const back = start([...argv, '--json'], { env: { ...env, UPGATE_CODE: await codeOf(services) } })
      await back.printed('"event":"pairing"')
      for (const line of back.out().trim().split('\n')) {
        expect(JSON.parse(line)).toMatchObject({ time: expect.any(String), event: expect.any(String) })
      }
      await back.stop()
    },
  )

  test('is refused to another gateway than the one that it was made for', async () => {
    const [one, other] = [await startGate(), await startGate()]
    const file = join(await folder(), 'node.json')
    await upgate(['node', `${one.origin}/connect`, '--key-file', file, '--once'])
    const { status, err } = await upgate(['node', `${other.origin}/connect`, '--key-file', file, '--once'])
    expect(status).toBe(2)
    expect(err).toContain('is the key for another gateway')
    expect(await other.services.pairing.pending()).toEqual([])
  })

  test('is refused in a file that others may read, that holds none, or that is a link to nowhere', async () => {
    const home = await folder()
    const file = join(home, 'node.json')
    const run = () => upgate(['node', 'ws://127.0.0.1:9/ws', '--key-file', file, '--once'])
    expect((await run()).status).toBe(4)
    const content = readFileSync(file, 'utf8')
    chmodSync(file, 0o640)
    expect(await run()).toMatchObject({ status: 2, err: expect.stringContaining(`chmod 600 ${file}`) })
    chmodSync(file, 0o600)
    for (const text of ['', 'null', '{}', '{"privateKey":7}', content.replace('BEGIN', 'BEGUN')]) {
      writeFileSync(file, text)
      const { status, err } = await run()
      expect([status, err]).toEqual([2, expect.stringContaining('holds no key of a node')])
      expect(err).not.toContain('PRIVATE')
    }
    await rm(file)
    symlinkSync(join(home, 'elsewhere'), file)
    expect(await run()).toMatchObject({
      status: 2,
      err: expect.stringContaining('cannot be written (EEXIST)'),
    })
  })

  test('that no gateway knows, without a code: a diagnosis and status 3', async () => {
    const { origin } = await startGate()
    const { status, out } = await upgate(['node', `${origin}/connect`], { env: { HOME: await folder() } })
    expect(status).toBe(3)
    expect(out).toContain('(origin-auth, unknown_identity)')
    expect(out).toContain('More: upgate explain unknown_identity')
  })
})

describe('a token', () => {
  test.each([
    ['/connect', []],
    ['/ours', []],
    ['/ws', ['--handshake', 'upgate']],
    ['/chat', ['--handshake', 'header']],
  ] as const)('from the environment is enough on %s, and no key is made', async (path, more) => {
    const { origin, services } = await startGate()
    const { token } = await services.devices.create({ name: 'printer', role: 'node', scopes: [] })
    const home = await folder()
    const node = start(['node', origin + path, ...more], { env: { HOME: home, UPGATE_TOKEN: token } })
    await node.printed('Accepted as ')
    expect(existsSync(join(home, '.config'))).toBe(false)
    expect(await node.stop()).toBe(130)
    expect(node.out()).not.toContain(token)
  })

  test('that is wrong ends it with status 3', async () => {
    const { origin, services } = await startGate()
    const { token } = await services.devices.create({ name: 'printer', role: 'node', scopes: [] })
    const wrong = token.replace(/^ugd/, 'ugk')
    const { status, out } = await upgate(['node', `${origin}/connect`, '--json'], {
      env: { UPGATE_TOKEN: wrong },
    })
    expect(status).toBe(3)
    const events = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(events.map(({ event }) => event)).toEqual(['connecting', 'failed', 'closed'])
    expect(events[1]).toMatchObject({
      code: 'invalid_credential',
      layer: 'origin-auth',
      action: expect.any(String),
      link: expect.stringContaining('invalid_credential'),
    })
    expect(out).not.toContain(wrong)
  })
})

describe('a gateway that cannot be reached', () => {
  test('is tried again, said in full once, until the node is stopped', async () => {
    const node = start(['node', 'ws://127.0.0.1:9/ws'], { env: { UPGATE_TOKEN: 'a-token-of-some-gateway' } })
    await node.printed('Still: ')
    expect(node.out().match(/Next: /g)).toHaveLength(1)
    expect(node.out()).toMatch(/\(tcp, tcp_refused\)/)
    expect(node.out()).toContain('Trying again in ')
    expect(await node.stop()).toBe(130)
  })

  test('ends it with status 4 under --once', async () => {
    const env = { UPGATE_TOKEN: 'a-token-of-some-gateway' }
    const { status } = await upgate(['node', 'ws://127.0.0.1:9/ws', '--once'], { env })
    expect(status).toBe(4)
  })
})

test('a service token of Access opens the edge; without it, the edge is named', async () => {
  const { port, services } = await startGate()
  const sim = createEdgeSim({
    urls: 'loopback',
    applications: [{ name: 'gateway', host: 'localhost', policies: [{ action: 'service_auth' }] }],
  })
  await sim.start()
  later(() => sim.stop())
  sim.addHost('localhost', `http://127.0.0.1:${port}`)
  const service = sim.addServiceToken({ name: 'cellar' })
  const { token } = await services.devices.create({ name: 'printer', role: 'node', scopes: [] })
  const argv = ['node', `ws://localhost:${sim.port}/connect`]
  const env = {
    UPGATE_TOKEN: token,
    CF_ACCESS_CLIENT_ID: service.clientId,
    CF_ACCESS_CLIENT_SECRET: service.clientSecret,
  }
  const node = start(argv, { env })
  await node.printed('Accepted as ')
  await node.stop()
  expect(node.out()).not.toContain(service.clientSecret)
  const { status, out } = await upgate(argv, { env: { UPGATE_TOKEN: token } })
  expect(status).toBe(3)
  expect(out).toContain('(edge-access, access_login_required)')
})

describe('wrong usage', () => {
  const secret = 'a-secret-in-the-wrong-place'
  test.each<[string, readonly string[], Record<string, string>]>([
    ['no URL', [], {}],
    ['two URLs', ['ws://a/', secret], {}],
    ['a token as an option', ['ws://a/', `--token=${secret}`], {}],
    ['a user in the URL', [`ws://user:${secret}@127.0.0.1/ws`], {}],
    ['another protocol', ['ftp://127.0.0.1/ws'], {}],
    ['a token and a code', ['ws://a/'], { UPGATE_TOKEN: secret, UPGATE_CODE: secret }],
    ['a token and a key', ['ws://a/', '--key-file', 'x'], { UPGATE_TOKEN: secret }],
    ['half a service token', ['ws://a/'], { UPGATE_TOKEN: secret, CF_ACCESS_CLIENT_ID: 'x.access' }],
    ['an unknown handshake', ['ws://a/', '--handshake', 'mqtt'], { UPGATE_TOKEN: secret }],
    ['a role of two words', ['ws://a/', '--role', 'a b'], { UPGATE_TOKEN: secret }],
    ['a scope that would break the signed text', ['ws://a/', '--scopes', 'a|b'], {}],
    ['a name with control characters', ['ws://a/', '--name', 'a\u001b[2J'], {}],
    ['a timeout of nothing', ['ws://a/', '--timeout', '0'], { UPGATE_TOKEN: secret }],
  ])('%s: status 2, and no secret printed', async (_what, argv, env) => {
    const { status, out, err } = await upgate(['node', ...argv], { env: { HOME: await folder(), ...env } })
    expect(status).toBe(2)
    expect(err).toMatch(/^upgate: \S.+\n$/)
    expect(out + err).not.toContain(secret)
  })

  test('the help lists every option', async () => {
    const { status, out } = await upgate(['node', '--help'])
    expect(status).toBe(0)
    for (const option of ['key-file', 'code-file', 'token-file', 'edge-secret-file', 'once', 'json'])
      expect(out).toContain(`--${option}`)
  })
})

test('a gateway that echoes the token and drives the terminal gets neither into the output', async () => {
  const token = 'Kt7q-token-of-the-gate-P4vX-9z'
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  later(() => new Promise((resolve) => sockets.close(resolve)))
  await once(sockets, 'listening')
  sockets.on('connection', (socket) => {
    socket.send('{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1}}')
    socket.once('message', () => {
      const auth = { role: `\u001b[31m${token}` }
      socket.send(JSON.stringify({ type: 'res', id: 'connect', ok: true, payload: { auth } }))
      socket.send(`hello ${token} \u001b[2J<b>`)
    })
  })
  const { port } = sockets.address() as AddressInfo
  const node = start(['node', `ws://127.0.0.1:${port}/ws`], { env: { UPGATE_TOKEN: token } })
  await node.printed('< hello')
  expect(node.out()).not.toContain(token)
  expect(node.out()).not.toContain('\u001b')
  await node.stop()
})

test('a gateway that waits for the first frame: the option to name its protocol is said', async () => {
  const { origin, services } = await startGate()
  const { token } = await services.devices.create({ name: 'printer', role: 'node', scopes: [] })
  const { out } = await upgate(['node', `${origin}/ws`, '--once', '--timeout', '1'], {
    env: { UPGATE_TOKEN: token },
  })
  expect(out).toContain('Name its protocol with --handshake.')
})

test('over ws:// to another computer: a code is not sent, and the option that sends it warns', async () => {
  const argv = ['node', 'ws://192.0.2.1/ws', '--once', '--timeout', '1']
  const env = { HOME: await folder(), UPGATE_CODE: 'A1B2-C3D4-E5F6' }
  const refused = await upgate(argv, { env })
  expect(refused.status).toBe(1)
  expect(refused.out).toContain('(client, credential_over_plain)')
  const sent = await upgate([...argv, '--dangerously-over-plain'], { env })
  expect(sent.out).toContain('Warning: ws:// is not encrypted: every computer on the way')
  expect(sent.out).not.toContain('credential_over_plain')
})
