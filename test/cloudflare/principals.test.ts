import { authFrame } from 'upgate/protocol'
import { describe, expect, it } from 'vitest'
import { type Behind, cleanUp, site, startBehind } from './edge.ts'

cleanUp()

const ada = { kind: 'user', scheme: 'cloudflare-access', scopes: ['chat'], roles: ['writer'] }

describe('a person', () => {
  it('logs in at the edge, and is their account on HTTP and on a socket of a page', async () => {
    const behind = await startBehind()
    const { services, sim } = behind
    const account = await services.accounts.byEmail('ada@example.com')
    const stranger = await behind.get('/api/me')
    expect([stranger.status, sim.log.at(-1)?.outcome]).toEqual([302, 'login_redirect'])

    const cookie = await behind.logIn('ada@example.com')
    const me = await behind.get('/api/me', { cookie })
    expect(me.status).toBe(200)
    expect(me.body).toMatchObject({ principal: { ...ada, id: account?.id }, edge: { id: account?.id } })

    const socket = behind.socket('/ws', { cookie, origin: site })
    expect(await socket.message()).toMatchObject({ type: 'welcome', principal: { ...ada, id: account?.id } })
  })

  it('gets nothing on the page of another user, nor on a route for programs', async () => {
    const behind = await startBehind()
    const cookie = await behind.logIn('ada@example.com')
    const foreign = behind.socket('/ws', { cookie, origin: 'https://evil.example' })
    expect((await foreign.upgraded).status).toBe(403)
    const robots = await behind.get('/robots', { cookie })
    expect([robots.status, robots.body.code]).toEqual([403, 'kind_not_allowed'])
  })

  it('without an account here is 403 unknown_identity, and no account is made', async () => {
    const behind = await startBehind()
    const cookie = await behind.logIn('eve@example.com')
    for (const path of ['/api/me', '/', '/ws']) {
      const answer = await behind.get(path, { cookie })
      expect([answer.status, answer.body.code]).toEqual([403, 'unknown_identity'])
      expect(answer.headers.get('upgate-refusal')).toContain('unknown_identity')
    }
    // A page could not read the status of a refused upgrade: it is told by the close code.
    const socket = behind.socket('/ws', { cookie, origin: site })
    expect((await socket.upgraded).status).toBe(101)
    await behind.passRefusal()
    expect(await socket.closed).toMatchObject({ code: 4403, reason: 'unknown_identity' })
    expect(await behind.services.accounts.list()).toHaveLength(1)
  })
})

/** A gateway that knows the service token of one site, and a device of that site. */
async function withDevice(name = 'cellar node') {
  const clientIds: Record<string, { id: string; scopes: string[] }> = {}
  const behind = await startBehind({
    identify: ({ kind, commonName }) =>
      kind === 'service' && commonName !== undefined ? (clientIds[commonName] ?? null) : null,
  })
  const token = behind.sim.addServiceToken({ name: 'cellar' })
  clientIds[token.clientId] = { id: 'cellar', scopes: ['files.read', 'operator.admin'] }
  const device = await behind.services.devices.create({ name, scopes: ['node'] })
  return { behind, token, device }
}

async function prove(behind: Behind, path: string, headers: Record<string, string>, token: string) {
  const socket = behind.socket(path, headers)
  await socket.upgraded
  socket.send(authFrame({ token }))
  return { socket, answer: await socket.message() }
}

describe('a service token', () => {
  it('is a service on HTTP, with the scopes that were given to it here', async () => {
    const { behind, token } = await withDevice()
    const answer = await behind.get('/robots', token.headers)
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({
      principal: { kind: 'service', id: 'cellar', scopes: ['files.read', 'operator.admin'] },
    })
    // The secret stays at the edge.
    expect(JSON.stringify(answer.body)).not.toContain(token.clientSecret)
    const people = await behind.get('/api/me', token.headers)
    expect([people.status, people.body.code]).toEqual([403, 'kind_not_allowed'])
    expect(behind.sim.secretReachedRedirectedHost).toBe(false)
  })

  it('opens the edge to a node that proves itself in its first frame: both are kept, and lend each other nothing', async () => {
    const { behind, token, device } = await withDevice()
    const { socket, answer } = await prove(behind, '/nodes', token.headers, device.token)
    expect(answer).toMatchObject({ type: 'auth_ok', principal: { kind: 'device', id: device.id } })
    expect(answer.scopes).toEqual(['node'])
    expect(await socket.message()).toMatchObject({
      principal: { kind: 'device', id: device.id, scopes: ['node'] },
      edge: { kind: 'service', id: 'cellar', scopes: ['files.read', 'operator.admin'] },
    })
    // What the service token may do opens nothing to the device.
    const admin = await prove(behind, '/nodes/admin', token.headers, device.token)
    expect(admin.answer).toMatchObject({ type: 'auth_error', code: 'insufficient_scope' })
    await behind.passRefusal()
    expect((await admin.socket.closed).code).toBe(4403)
  })

  it('alone is no node: the socket waits for the device, and is closed without it', async () => {
    const { behind, token } = await withDevice()
    const { socket, answer } = await prove(behind, '/nodes', token.headers, 'not a token')
    expect(answer).toMatchObject({ type: 'auth_error', code: 'invalid_credential' })
    await behind.passRefusal()
    expect((await socket.closed).code).toBe(4401)
    const silent = behind.socket('/nodes', token.headers)
    expect((await silent.upgraded).status).toBe(101)
    behind.clock.advance(10_000)
    expect(await silent.message()).toMatchObject({ type: 'auth_error', code: 'handshake_timeout' })
  })

  it('has to be that of the device where the rule says so', async () => {
    const { behind, token, device } = await withDevice()
    const fits = await prove(behind, '/nodes/paired', token.headers, device.token)
    expect(fits.answer).toMatchObject({ type: 'auth_ok', principal: { id: device.id } })
    const other = await behind.services.devices.create({ name: 'attic node', scopes: ['node'] })
    const { socket, answer } = await prove(behind, '/nodes/paired', token.headers, other.token)
    expect(answer).toMatchObject({ type: 'auth_error', code: 'edge_mismatch' })
    await behind.passRefusal()
    expect((await socket.closed).code).toBe(4403)
  })

  it('without an account here does not keep the device out, but agrees with no device', async () => {
    const { behind, device } = await withDevice()
    const { headers } = behind.sim.addServiceToken({ name: 'unknown' })
    const { socket, answer } = await prove(behind, '/nodes', headers, device.token)
    expect(answer).toMatchObject({ type: 'auth_ok', principal: { id: device.id } })
    expect(await socket.message()).toMatchObject({ edge: null })
    expect((await prove(behind, '/nodes/paired', headers, device.token)).answer).toMatchObject({
      code: 'edge_mismatch',
    })
    const http = await behind.get('/robots', headers)
    expect([http.status, http.body.code]).toEqual([403, 'unknown_identity'])
  })

  it('the edge itself turns unknown tokens away', async () => {
    const { behind } = await withDevice()
    const { headers } = behind.sim.addServiceToken({ name: 'old', expiresAt: 0 })
    expect((await behind.get('/robots', headers)).status).toBe(302)
    expect((await behind.socket('/nodes', headers).upgraded).status).toBe(302)
  })
})
