import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Client } from './client.ts'
import { type GateServer, startGateServer } from './gate-server.ts'

/** What every node sees, whatever it is written in. None of these clients sends an HTTP credential. */
export function behavesLikeANode(open: (url: string) => Client): void {
  let server: GateServer
  let clients: Client[]

  beforeEach(async () => {
    clients = []
    server = await startGateServer()
  })
  afterEach(async () => {
    for (const client of clients) client.stop()
    await server.close()
    expect(server.upgrades).not.toHaveLength(0)
    for (const headers of server.upgrades) {
      expect(headers.authorization, 'nothing but the first frame says who it is').toBeUndefined()
      expect(headers.cookie).toBeUndefined()
    }
  })

  async function connect(url: string): Promise<Client> {
    const client = open(url)
    clients.push(client)
    await client.connected()
    return client
  }

  test('a good device token in the first frame makes it a node', async () => {
    const { id, token } = await server.createDevice()
    const client = await connect(server.url)
    client.send(connectRequest({ device_token: token }))
    const answer = JSON.parse(await client.message())
    expect(answer).toMatchObject({ type: 'res', id: '1', ok: true })
    expect(answer.payload).toMatchObject({
      type: 'hello-ok',
      protocol: 4,
      auth: { role: 'node', scopes: ['node.status'] },
    })
    expect(server.nodes).toEqual([id])

    client.send('hello')
    expect(await client.message()).toBe('heard hello')
  })

  test('a token that nobody issued is told so: error frame, then close code and reason', async () => {
    const client = await connect(server.url)
    client.send(connectRequest({ device_token: 'ugd_000000000000_nobody' }))
    const answer = JSON.parse(await client.message())
    expect(answer).toMatchObject({
      type: 'res',
      id: '1',
      ok: false,
      error: {
        code: 'INVALID_REQUEST',
        details: { code: 'AUTH_TOKEN_MISMATCH', reason: 'invalid_credential' },
      },
    })
    expect(answer.error.message).toMatch(/^[A-Z].+\.$/)
    // The refusal is held for a moment, so that guessing is slow; two seconds is the most it takes.
    server.clock.advance(2_000)
    expect(await client.closed()).toEqual({ code: 1008, reason: 'invalid_credential' })
    expect(server.nodes).toEqual([])
  })

  test('a first frame that is no JSON is told so', async () => {
    const client = await connect(server.ownUrl)
    client.send('let me in')
    expect(JSON.parse(await client.message())).toMatchObject({ type: 'auth_error', code: 'bad_handshake' })
    server.clock.advance(2_000)
    expect(await client.closed()).toEqual({ code: 4400, reason: 'bad_handshake' })
  })

  test('a silent socket is closed at the deadline', async () => {
    const client = await connect(server.ownUrl)
    server.clock.advance(10_000)
    expect(JSON.parse(await client.message())).toMatchObject({
      type: 'auth_error',
      code: 'handshake_timeout',
    })
    server.clock.advance(2_000)
    expect(await client.closed()).toEqual({ code: 4408, reason: 'handshake_timeout' })
  })

  test('revoking its token closes its live socket', async () => {
    const { id, token } = await server.createDevice()
    const client = await connect(server.ownUrl)
    client.send(JSON.stringify({ type: 'auth', token }))
    expect(JSON.parse(await client.message())).toMatchObject({
      type: 'auth_ok',
      principal: { kind: 'device', id },
    })
    await server.revoke(id)
    expect(await client.closed()).toEqual({ code: 4403, reason: 'revoked' })

    const again = await connect(server.ownUrl)
    again.send(JSON.stringify({ type: 'auth', token }))
    expect(JSON.parse(await again.message())).toMatchObject({
      type: 'auth_error',
      code: 'revoked_credential',
    })
    server.clock.advance(2_000)
    expect(await again.closed()).toEqual({ code: 4401, reason: 'revoked_credential' })
  })
}

/** The request that moltis nodes of protocol version 4 open with. */
function connectRequest(auth: Readonly<Record<string, string>>): string {
  const protocol = { min: 3, max: 4 }
  return JSON.stringify({ type: 'req', id: '1', method: 'connect', params: { protocol, role: 'node', auth } })
}
