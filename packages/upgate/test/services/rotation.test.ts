import { describe, expect, test } from 'vitest'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { login, outcomeOf, person, setUp } from './setup.ts'

const hour = 3_600_000

describe('rotating a key or device', () => {
  test('gives a new token with the same rights; the old one ends at once', async () => {
    const setup = setUp()
    const { id, token } = await setup.keys.create({ name: 'ci', scopes: ['deploy'], roles: ['bot'] })
    await setup.keys.verify(token)
    const reasons: string[] = []
    setup.revocations.subscribe(({ reason }) => reasons.push(reason))
    const rotated = await setup.keys.rotate(id)
    if (rotated.outcome !== 'done') throw new Error(rotated.reason)
    expect(rotated).toMatchObject({ id, record: { name: 'ci', scopes: ['deploy'], roles: ['bot'] } })
    expect(rotated.token).not.toBe(token)
    expect(reasons).toEqual(['rotated'])
    expect(await setup.keys.verify(rotated.token)).toMatchObject({
      principal: { id, credentialId: id, scopes: ['deploy'] },
    })
    expect(await setup.keys.verify(token)).toEqual({
      outcome: 'rejected',
      code: 'revoked_credential',
      reason: 'the API key was replaced by a new one',
    })
  })

  test('with an overlap: the old token and its sockets last until the overlap ends', async () => {
    const setup = setUp()
    const { id, token } = await setup.devices.create({ name: 'kitchen' })
    const rotated = await setup.devices.rotate(id, { overlap: hour })
    if (rotated.outcome !== 'done') throw new Error(rotated.reason)
    const end = setup.clock.now() + hour
    expect(rotated.previousUntil).toBe(end)
    expect(await setup.devices.verify(token)).toMatchObject({ principal: { id, expiresAt: end } })
    const fresh = await setup.devices.verify(rotated.token)
    expect(fresh).toMatchObject({ principal: { id } })
    expect(fresh.outcome === 'authenticated' && fresh.principal.expiresAt).toBeFalsy()
    setup.clock.advance(hour - 1)
    expect(await outcomeOf(setup.devices.verify(token))).toBe('authenticated')
    setup.clock.advance(1)
    expect(await outcomeOf(setup.devices.verify(token))).toBe('revoked_credential')
    expect(await outcomeOf(setup.devices.verify(rotated.token))).toBe('authenticated')
  })

  test('never outlives the expiry of the record', async () => {
    const setup = setUp()
    const expiresAt = setup.clock.now() + 1000
    const { id, token } = await setup.keys.create({ name: 'k', expiresAt })
    expect(await setup.keys.rotate(id, { overlap: hour })).toMatchObject({ previousUntil: expiresAt })
    setup.clock.advance(1000)
    expect(await outcomeOf(setup.keys.verify(token))).toBe('expired_credential')
  })

  test('a revoked, expired or unknown record is refused with its code, and nothing changes', async () => {
    const setup = setUp()
    const revoked = await setup.keys.create({ name: 'revoked' })
    await setup.keys.revoke(revoked.id)
    const expired = await setup.keys.create({ name: 'expired', expiresAt: setup.clock.now() + 1 })
    setup.clock.advance(1)
    const head = await setup.store.revocations.head()
    expect(await setup.keys.rotate(revoked.id)).toMatchObject({
      outcome: 'refused',
      code: 'revoked_credential',
    })
    expect(await setup.keys.rotate(expired.id)).toMatchObject({
      outcome: 'refused',
      code: 'expired_credential',
    })
    expect(await setup.keys.rotate('nobody')).toMatchObject({
      outcome: 'refused',
      code: 'unknown_credential',
    })
    expect(await setup.store.revocations.head()).toBe(head)
    expect(await outcomeOf(setup.keys.verify(revoked.token))).toBe('revoked_credential')
  })

  test('revoking ends both tokens', async () => {
    const setup = setUp()
    const { id, token } = await setup.keys.create({ name: 'k' })
    const rotated = await setup.keys.rotate(id, { overlap: hour })
    await setup.keys.revoke(id)
    expect(await outcomeOf(setup.keys.verify(token))).toBe('revoked_credential')
    expect(rotated.outcome === 'done' && (await outcomeOf(setup.keys.verify(rotated.token)))).toBe(
      'revoked_credential',
    )
  })

  test('twice within an overlap is refused; without an overlap it ends all earlier tokens', async () => {
    const setup = setUp()
    const { id, token } = await setup.keys.create({ name: 'k' })
    const first = await setup.keys.rotate(id, { overlap: hour })
    expect(await setup.keys.rotate(id, { overlap: hour })).toMatchObject({ code: 'rotation_pending' })
    expect(await outcomeOf(setup.keys.verify(token))).toBe('authenticated')
    expect(await setup.keys.rotate(id)).toMatchObject({ outcome: 'done' })
    expect(await outcomeOf(setup.keys.verify(token))).toBe('invalid_credential')
    expect(first.outcome === 'done' && (await outcomeOf(setup.keys.verify(first.token)))).toBe(
      'revoked_credential',
    )
  })

  test('ten times at once: one succeeds', async () => {
    const store = memoryStore()
    const [here, there] = [setUp({ store }), setUp({ store })]
    const { id } = await here.keys.create({ name: 'k' })
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => (n % 2 ? here : there).keys.rotate(id, { overlap: hour })),
    )
    expect(answers.filter((answer) => answer.outcome === 'done')).toHaveLength(1)
    expect(new Set(answers.map((answer) => answer.outcome === 'refused' && answer.code))).toEqual(
      new Set([false, 'rotation_pending']),
    )
  })

  test('on one instance: the old token stops counting on the other too', async () => {
    const store = memoryStore()
    const [here, there] = [setUp({ store }), setUp({ store })]
    const { id, token } = await here.keys.create({ name: 'k' })
    await there.keys.verify(token)
    await here.keys.rotate(id)
    await there.revocations.sync()
    expect(await outcomeOf(there.keys.verify(token))).toBe('revoked_credential')
  })

  test('misuse throws and names the option', async () => {
    const setup = setUp()
    const { id } = await setup.keys.create({ name: 'k' })
    await expect(setup.keys.rotate(id, { overlap: -1 })).rejects.toThrow(/`overlap`/)
    await expect(setup.keys.rotate(id, { overlap: 31 * 24 * hour })).rejects.toThrow(/`overlap`/)
    await expect(setup.keys.rotate(id, { grace: 1 } as never)).rejects.toThrow(/unknown option `grace`/)
  })
})

describe('rotating a session', () => {
  test('when privileges grow: both tokens pass for ten seconds, then only the new one', async () => {
    const setup = setUp()
    const account = await person(setup)
    const { token, session } = await login(setup, account.id)
    await setup.sessions.verify(token)
    const seen: unknown[] = []
    setup.revocations.subscribe(({ selector, reason }) => seen.push([selector, reason]))
    const rotated = await setup.sessions.rotate(session.id)
    if (rotated.outcome !== 'done') throw new Error(rotated.reason)
    // A thief of the old token may hold a socket.
    expect(seen).toEqual([[{ sessionId: session.id }, 'rotated']])
    expect(rotated.session).toEqual(session)
    const end = setup.clock.now() + 10_000
    expect(await setup.sessions.verify(token)).toMatchObject({ principal: { expiresAt: end } })
    expect(await setup.sessions.verify(rotated.token)).toMatchObject({ principal: { id: account.id } })
    setup.clock.advance(10_000)
    expect(await outcomeOf(setup.sessions.verify(token))).toBe('revoked_credential')
    expect(await outcomeOf(setup.sessions.verify(rotated.token))).toBe('authenticated')
    expect(await setup.sessions.list(account.id)).toHaveLength(1)
  })

  test('an ended session is refused with its code', async () => {
    const setup = setUp()
    const account = await person(setup)
    const ended = await login(setup, account.id)
    await setup.sessions.revoke(ended.session.id)
    expect(await setup.sessions.rotate(ended.session.id)).toMatchObject({ code: 'unknown_credential' })
    const idle = await login(setup, account.id)
    setup.clock.advance(7 * 24 * hour)
    expect(await setup.sessions.rotate(idle.session.id)).toMatchObject({ code: 'expired_credential' })
    const voided = await login(setup, account.id)
    // The generation moved on, and the records could not be removed yet.
    setup.broken.add('sessions.removeOf')
    await setup.sessions.revokeAll(account.id)
    expect(await setup.sessions.rotate(voided.session.id)).toMatchObject({ code: 'revoked_credential' })
  })

  test('two at once: one gets the new token, the other a refusal', async () => {
    const setup = setUp()
    const { session } = await login(setup, (await person(setup)).id)
    const answers = await Promise.all([setup.sessions.rotate(session.id), setup.sessions.rotate(session.id)])
    expect(answers.map((answer) => (answer.outcome === 'done' ? 'done' : answer.code)).sort()).toEqual([
      'done',
      'rotation_pending',
    ])
  })

  test('misuse throws and names the option', async () => {
    const setup = setUp()
    await expect(setup.sessions.rotate('x', { grace: 60_001 })).rejects.toThrow(/`grace`/)
  })
})
