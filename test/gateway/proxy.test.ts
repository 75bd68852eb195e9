import { afterEach, beforeEach, expect, it } from 'vitest'
import { admin, type DataDir, endAll, startProgram, temporaryDataDir } from './program.ts'
import { connectRequest, TestSocket } from './socket.ts'
import { Visitor } from './visitor.ts'

const publicUrl = 'https://gateway.example.com'
// Headers that a proxy with TLS passes on.
const proxied = {
  host: 'gateway.example.com',
  'x-forwarded-for': '203.0.113.7',
  'x-forwarded-proto': 'https',
}
const fromPage = { ...proxied, origin: publicUrl }

const listening = /^Listening on 127\.0\.0\.1:(\d+)$/m

let data: DataDir
beforeEach(() => {
  data = temporaryDataDir()
})
afterEach(async () => {
  await endAll()
  data.remove()
})

it('works behind a proxy that ends TLS: cookie, Origin, host, addresses', async () => {
  const program = await startProgram({
    dataDir: data.path,
    env: { PUBLIC_URL: publicUrl, TRUST_PROXY: 'loopback' },
  })
  expect(program.origin).toBe(publicUrl)
  const local = `http://127.0.0.1:${(await program.printed(listening))[1]}`
  const visitor = new Visitor(local)
  const login = await visitor.post('/api/auth/login', admin, { headers: fromPage })
  expect(login.status).toBe(204)
  expect(login.header('set-cookie')).toContain('; Secure;')
  expect(login.header('strict-transport-security')).toMatch(/^max-age=\d+/)
  visitor.cookie = login.header('set-cookie')?.split(';')[0]

  const device = (await visitor.post('/api/devices', { name: 'far' }, { headers: fromPage })).json()
  const node = new TestSocket(`${local}/ws`, proxied)
  await node.upgraded
  node.send(connectRequest(device.token))
  expect(await node.message()).toMatchObject({ ok: true })
  const nodes = (await visitor.get('/api/nodes', { headers: fromPage })).json()
  expect(nodes).toMatchObject({
    nodes: [{ name: 'far', address: '203.0.113.7', addressHint: 'forwarded by 127.0.0.1' }],
  })
  // An entry that the client adds in front of the proxy's entry is not trusted.
  const forged = { ...proxied, 'x-forwarded-for': '198.51.100.9, 203.0.113.8' }
  const other = new TestSocket(`${local}/ws`, forged)
  await other.upgraded
  other.send(connectRequest(device.token))
  await other.message()
  const both = (await visitor.get('/api/nodes', { headers: fromPage })).json() as {
    nodes: { address: string }[]
  }
  expect(both.nodes.map((each) => each.address)).toEqual(['203.0.113.7', '203.0.113.8'])
  const { lines } = (await visitor.get('/api/audit', { headers: fromPage })).json() as {
    lines: Record<string, string>[]
  }
  for (const event of ['logged_in', 'deferred', 'socket_accepted']) {
    expect(lines.findLast((line) => line.event === event)).toMatchObject({
      address: '203.0.113.7',
      addressFrom: 'forwarded',
      proxy: '127.0.0.1',
    })
  }

  // Pages of any other origin, this machine's own included, are foreign now.
  const foreign = await visitor.post(
    '/api/devices',
    { name: 'x' },
    { headers: { ...proxied, origin: local } },
  )
  expect([foreign.status, foreign.json().code]).toEqual([403, 'origin_refused'])
  const direct = await visitor.get('/api/nodes')
  expect([direct.status, direct.json().code]).toEqual([403, 'host_refused'])
  expect((await visitor.get('/health')).status).toBe(200)
})

it('trusts no X-Forwarded-For without TRUST_PROXY, and warns of a cookie without TLS', async () => {
  const program = await startProgram({ dataDir: data.path, env: { PUBLIC_URL: 'http://192.0.2.10:8787' } })
  const local = `http://127.0.0.1:${(await program.printed(listening))[1]}`
  const headers = { host: '192.0.2.10:8787', 'x-forwarded-for': '203.0.113.7' }
  const visitor = new Visitor(local)
  const login = await visitor.post('/api/auth/login', admin, { headers })
  expect(login.header('set-cookie')).toMatch(
    /^gateway_session=[^;]+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Strict\ngateway_device=[^;]+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Strict$/,
  )
  expect(login.header('strict-transport-security')).toBeUndefined()
  visitor.cookie = login.header('set-cookie')?.split(';')[0]
  const { lines } = (await visitor.get('/api/audit', { headers })).json() as {
    lines: Record<string, string>[]
  }
  expect(lines.find((line) => line.event === 'logged_in')).toMatchObject({
    address: '127.0.0.1',
    addressFrom: 'peer',
  })
  const wrong = new TestSocket(`${local}/ws`, headers)
  await wrong.upgraded
  wrong.send(connectRequest('ugd_wrong'))
  await wrong.closed
  const page = (await visitor.get('/audit', { headers })).text
  expect(page).toContain('127.0.0.1, may be a proxy&#39;s')
  const later = (await visitor.get('/api/audit', { headers })).json().lines as Record<string, string>[]
  expect(later.find((line) => line.event === 'socket_refused')).toMatchObject({ address: '127.0.0.1' })
  expect(program.output()).toContain('The session cookie is sent without TLS')
})
