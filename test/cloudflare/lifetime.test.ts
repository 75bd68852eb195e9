import { authFrame } from 'upgate/protocol'
import { describe, expect, it } from 'vitest'
import { type Behind, cleanUp, site, startBehind } from './edge.ts'

cleanUp()

const me = '/api/me'

async function ada(behind: Behind) {
  const account = await behind.services.accounts.byEmail('ada@example.com')
  if (account === undefined) throw new Error('no account')
  return account
}

describe('a live socket', () => {
  it('ends with the Access session, at exp, with 4401; the edge would have let it live on', async () => {
    const behind = await startBehind({}, { idleCutMs: 3_600_000 })
    behind.sim.configureApplication('gateway', { sessionSeconds: 600 })
    const cookie = await behind.logIn('ada@example.com')
    const socket = behind.socket('/ws', { cookie, origin: site })
    expect((await socket.message()).type).toBe('welcome')
    expect(behind.gate.connections.size).toBe(1)
    behind.clock.advance(599_999)
    socket.send('"still here"')
    expect(await socket.message()).toBe('still here')
    behind.clock.advance(1)
    expect(await socket.closed).toMatchObject({ code: 4401, reason: 'auth_expired' })
    expect(behind.gate.connections.size).toBe(0)
  })

  it('that a device proved outlives the token it passed the edge with', async () => {
    const behind = await startBehind({}, { idleCutMs: 3_600_000 })
    behind.sim.configureApplication('gateway', { sessionSeconds: 600 })
    const { headers } = behind.sim.addServiceToken({ name: 'node' })
    const device = await behind.services.devices.create({ name: 'node' })
    const socket = behind.socket('/nodes', headers)
    await socket.upgraded
    socket.send(authFrame({ token: device.token }))
    expect((await socket.message()).type).toBe('auth_ok')
    await socket.message()
    behind.clock.advance(1_200_000)
    socket.send('"still here"')
    expect(await socket.message()).toBe('still here')
    await behind.services.devices.revoke(device.id)
    expect(await socket.closed).toMatchObject({ code: 4403, reason: 'revoked' })
  })

  it('is cut by the edge after 100 s of silence, and leaves nothing behind', async () => {
    const behind = await startBehind()
    const cookie = await behind.logIn('ada@example.com')
    const socket = behind.socket('/ws', { cookie, origin: site })
    await socket.message()
    for (let minute = 0; minute < 3; minute++) {
      behind.clock.advance(60_000)
      socket.send('"ping"')
      await socket.message()
    }
    expect(behind.gate.connections.size).toBe(1)
    behind.clock.advance(100_000)
    expect((await socket.closed).code).toBe(1006)
    while (behind.gate.connections.size > 0) await new Promise((resolve) => setImmediate(resolve))
    const again = behind.socket('/ws', { cookie, origin: site })
    expect((await again.message()).type).toBe('welcome')
  })
})

describe('a user after the end of the access', () => {
  it('loses their socket, and is not readmitted by the token that the edge still honours', async () => {
    const behind = await startBehind()
    const { services, clock } = behind
    const cookie = await behind.logIn('ada@example.com')
    const socket = behind.socket('/ws', { cookie, origin: site })
    await socket.message()
    clock.advance(5_000)
    await services.accounts.endAccess((await ada(behind)).id)
    expect(await socket.closed).toMatchObject({ code: 4403, reason: 'revoked' })

    const refused = async (at: Behind) => {
      const answer = await at.get(me, { cookie })
      expect(behind.sim.log.at(-1)?.outcome, 'the edge lets them through').toBe('forwarded')
      expect([answer.status, answer.body.code]).toEqual([401, 'revoked_credential'])
    }
    await refused(behind)
    const back = behind.socket('/ws', { cookie, origin: site })
    await back.upgraded
    await behind.passRefusal()
    expect(await back.closed).toMatchObject({ code: 4401, reason: 'revoked_credential' })
    // The end of the access is kept with the account: another process knows it as well, and so does this one tomorrow.
    clock.advance(3_600_000)
    await refused(behind)
    const restarted = await behind.restart()
    await refused(restarted)

    // A new login is a new token.
    expect((await restarted.get(me, { cookie: await behind.logIn('ada@example.com') })).status).toBe(200)
  })

  it('stays out while disabled, and enabling does not bring back old tokens', async () => {
    const behind = await startBehind()
    const { accounts } = behind.services
    const { id } = await ada(behind)
    const cookie = await behind.logIn('ada@example.com')
    expect((await behind.get(me, { cookie })).status).toBe(200)
    behind.clock.advance(1_000)
    await accounts.disable(id)
    const disabled = await behind.get(me, { cookie })
    expect([disabled.status, disabled.body.code]).toEqual([401, 'account_disabled'])
    await accounts.enable(id)
    expect((await behind.get(me, { cookie })).body.code).toBe('revoked_credential')
    behind.clock.advance(1_000)
    expect((await behind.get(me, { cookie: await behind.logIn('ada@example.com') })).status).toBe(200)
  })

  it('holds less from the next request on when scopes are taken away', async () => {
    const behind = await startBehind()
    const cookie = await behind.logIn('ada@example.com')
    expect((await behind.get(me, { cookie })).body).toMatchObject({ principal: { scopes: ['chat'] } })
    await behind.services.accounts.setScopes((await ada(behind)).id, [])
    expect((await behind.get(me, { cookie })).body).toMatchObject({ principal: { scopes: [] } })
  })
})

it('a log-out at the edge ends at the edge, 25 s later; asked online, it bites at once', async () => {
  const behind = await startBehind({ online: { every: 0 } })
  const cookie = await behind.logIn('ada@example.com')
  expect((await behind.get(me, { cookie })).status).toBe(200)
  behind.sim.logOut('ada@example.com')
  behind.clock.advance(25_000)
  const answer = await behind.direct(me, { 'cf-access-jwt-assertion': cookie.split('=')[1] ?? '' })
  expect([answer.status, answer.body.code]).toEqual([401, 'revoked_credential'])
  expect((await behind.get(me, { cookie })).status).toBe(302)
})
