import { describe, expect, test } from 'vitest'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { login, outcomeOf, person, settle, setUp } from './setup.ts'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

describe('a session', () => {
  test('belongs to the account, with its current rights', async () => {
    const setup = setUp()
    const account = await person(setup)
    const { token, session } = await login(setup, account.id)
    expect(await setup.sessions.verify(token)).toEqual({
      outcome: 'authenticated',
      principal: {
        kind: 'user',
        id: account.id,
        scheme: 'session',
        credentialId: session.id,
        sessionId: session.id,
        scopes: ['read', 'write'],
        roles: ['admin'],
        expiresAt: setup.clock.now() + 7 * day,
        displayName: 'ada@example.com',
        attributes: {},
      },
    })
    await setup.accounts.setScopes(account.id, ['read', 'write', 'more'])
    expect(await setup.sessions.verify(token)).toMatchObject({
      principal: { scopes: ['read', 'write', 'more'] },
    })
  })

  test('ends after its idle time', async () => {
    const setup = setUp()
    const { token } = await login(setup, (await person(setup)).id)
    await setup.sessions.verify(token)
    setup.clock.advance(7 * day - 1)
    await settle()
    expect(await outcomeOf(setup.sessions.verify(token))).toBe('authenticated')
    setup.clock.advance(5000)
    await settle()
    setup.clock.advance(7 * day)
    expect(await setup.sessions.verify(token)).toMatchObject({
      code: 'expired_credential',
      reason: 'the session was not used for too long',
    })
  })

  test('is extended by use, with few writes, up to its absolute end', async () => {
    const setup = setUp({ limits: { sessionIdle: hour, sessionAbsolute: 3 * hour } })
    const { token, session } = await login(setup, (await person(setup)).id)
    expect(session).toMatchObject({
      expiresAt: setup.clock.now() + hour,
      endsAt: setup.clock.now() + 3 * hour,
    })
    setup.calls.length = 0
    for (let i = 0; i < 36 * 5 - 1; i++) {
      setup.clock.advance(minute)
      await settle()
      for (let n = 0; n < 5; n++) expect(await outcomeOf(setup.sessions.verify(token))).toBe('authenticated')
    }
    const touches = setup.calls.filter((call) => call === 'sessions.touch').length
    expect(touches).toBeGreaterThan(100)
    expect(touches).toBeLessThan(200)
    setup.clock.advance(minute)
    expect(await setup.sessions.verify(token)).toMatchObject({
      code: 'expired_credential',
      reason: 'the session reached its end',
    })
  })

  test('never gives its principal a later end than its own', async () => {
    const setup = setUp({ limits: { sessionIdle: hour, sessionAbsolute: 90 * minute } })
    const { token, session } = await login(setup, (await person(setup)).id)
    setup.clock.advance(50 * minute)
    expect(await setup.sessions.verify(token)).toMatchObject({ principal: { expiresAt: session.endsAt } })
  })

  test('ends when the clock jumps ahead, and the cache does not restore it', async () => {
    const setup = setUp({ limits: { sessionIdle: hour } })
    const { token } = await login(setup, (await person(setup)).id)
    await setup.sessions.verify(token)
    setup.clock.advance(400 * day)
    expect(await outcomeOf(setup.sessions.verify(token))).toBe('expired_credential')
  })

  test('counts against a limit: the oldest ends, with its sockets', async () => {
    const setup = setUp({ limits: { sessionsPerAccount: 2 } })
    const { id } = await person(setup)
    const seen: unknown[] = []
    setup.revocations.subscribe(({ selector, reason }) => seen.push([selector, reason]))
    const all = [await login(setup, id), await login(setup, id)]
    for (const { token } of all) await setup.sessions.verify(token)
    all.push(await login(setup, id))
    expect(seen).toEqual([[{ sessionId: all[0]?.session.id }, 'revoked']])
    expect(await Promise.all(all.map(({ token }) => outcomeOf(setup.sessions.verify(token))))).toEqual([
      'invalid_credential',
      'authenticated',
      'authenticated',
    ])
    expect(await setup.sessions.list(id)).toHaveLength(2)
  })

  // A second login left the browser's former session valid: out of the browser's reach, but not out of reach
  // of a copy.
  test('replaces the session that the browser sent, and ends its sockets', async () => {
    const setup = setUp({ limits: { sessionsPerAccount: 2 } })
    const { id } = await person(setup)
    const other = await login(setup, id)
    const former = await login(setup, id)
    expect(await outcomeOf(setup.sessions.verify(former.token))).toBe('authenticated')
    const ended: unknown[] = []
    setup.sessions.revocations.subscribe(({ selector, reason }) => ended.push([selector, reason]))
    const now = await setup.sessions.create(id, { replaces: former.token })
    expect(ended).toEqual([[{ sessionId: former.session.id }, 'rotated']])
    expect(await outcomeOf(setup.sessions.verify(former.token))).toBe('invalid_credential')
    expect(await outcomeOf(setup.sessions.verify(now?.token ?? ''))).toBe('authenticated')
    // The former session made room for the new one: no other browser lost its session.
    expect(await outcomeOf(setup.sessions.verify(other.token))).toBe('authenticated')
    // Also if another user logs in.
    const bob = await person(setup, 'bob@example.com')
    await setup.sessions.create(bob.id, { replaces: now?.token })
    expect(await outcomeOf(setup.sessions.verify(now?.token ?? ''))).toBe('invalid_credential')
  })

  test('replaces no session for an unknown token, nor for an account that gets no session', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const { token, session } = await login(setup, id)
    const foreign = await login(setup, id)
    const forged = `${token.slice(0, 17)}${foreign.token.slice(17)}`
    for (const replaces of [forged, session.id, '', 'x'.repeat(66), `${token}x`, token.toLowerCase()]) {
      await setup.sessions.create(id, { replaces })
    }
    expect(await setup.sessions.create('nobody', { replaces: token })).toBeUndefined()
    expect(await outcomeOf(setup.sessions.verify(token))).toBe('authenticated')
    // A token from before a rotation counts until its grace ends, and ends no session afterwards.
    const rotated = await setup.sessions.rotate(session.id)
    if (rotated.outcome !== 'done') throw new Error(rotated.reason)
    setup.clock.advance(10_000)
    await setup.sessions.create(id, { replaces: token })
    expect(await outcomeOf(setup.sessions.verify(rotated.token))).toBe('authenticated')
    await setup.sessions.create(id, { replaces: rotated.token })
    expect(await outcomeOf(setup.sessions.verify(rotated.token))).toBe('invalid_credential')
    const within = await login(setup, id)
    await setup.sessions.rotate(within.session.id)
    await setup.sessions.create(id, { replaces: within.token })
    expect((await setup.sessions.list(id)).some((one) => one.id === within.session.id)).toBe(false)
  })

  test('can be ended alone, once', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const a = await login(setup, id)
    const b = await login(setup, id)
    await setup.sessions.verify(a.token)
    const seen: unknown[] = []
    setup.revocations.subscribe(({ selector, reason }) => seen.push([selector, reason]))
    const ends = await Promise.all([setup.sessions.revoke(a.session.id), setup.sessions.revoke(a.session.id)])
    expect(ends.sort()).toEqual([false, true])
    expect(seen).toEqual([[{ sessionId: a.session.id }, 'logged_out']])
    expect(await outcomeOf(setup.sessions.verify(a.token))).toBe('invalid_credential')
    expect(await outcomeOf(setup.sessions.verify(b.token))).toBe('authenticated')
  })

  test('ends with all others of the account, even if their records cannot be removed', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const a = await login(setup, id)
    const b = await login(setup, id)
    await setup.sessions.verify(a.token)
    setup.broken.add('sessions.removeOf')
    await setup.sessions.revokeAll(id)
    expect(await outcomeOf(setup.sessions.verify(a.token))).toBe('revoked_credential')
    setup.broken.clear()
    await setup.sessions.revokeAll(id)
    expect(await outcomeOf(setup.sessions.verify(b.token))).toBe('invalid_credential')
    expect(await setup.sessions.list(id)).toEqual([])
    expect(await outcomeOf(setup.sessions.verify((await login(setup, id)).token))).toBe('authenticated')
  })

  test('is not given to unknown or disabled accounts, and disabling ends existing ones', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const { token } = await login(setup, id)
    await setup.sessions.verify(token)
    await setup.accounts.disable(id)
    expect(await setup.sessions.create(id)).toBeUndefined()
    expect(await setup.sessions.create('nobody')).toBeUndefined()
    expect((await setup.sessions.verify(token)).outcome).toBe('rejected')
    await setup.accounts.enable(id)
    // Enabling does not restore ended sessions: a new login is needed.
    expect((await setup.sessions.verify(token)).outcome).toBe('rejected')
    expect(await outcomeOf(setup.sessions.verify((await login(setup, id)).token))).toBe('authenticated')
  })

  test('that began during a change of password is void', async () => {
    const store = memoryStore()
    const here = setUp({ store })
    const there = setUp({ store })
    const { id } = await person(here)
    const release = here.hold('accounts.get')
    const creating = here.sessions.create(id)
    await settle()
    await there.accounts.setPassword(id, 'a completely new password')
    release()
    const issued = await creating
    expect(await outcomeOf(here.sessions.verify(issued?.token ?? ''))).toBe('revoked_credential')
  })

  test('has its record removed after its end, when others log in', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    await login(setup, id)
    setup.clock.advance(31 * day)
    await settle()
    await login(setup, id)
    expect(await setup.store.sessions.list(id)).toHaveLength(1)
  })

  test('keeps a label in one line, without characters that change the direction of text', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const label = 'a\r\nb\u001b[2Jc\u009bd\u2028e\u202ef\u2066g<b>'
    expect((await setup.sessions.create(id, { label }))?.session.label).toBe('a  b [2Jc d e f g<b>')
  })

  test('keeps a label of bounded length', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const issued = await setup.sessions.create(id, { label: 'x'.repeat(1000), clientAddress: '192.0.2.1' })
    expect(issued?.session.label).toHaveLength(200)
    expect((await setup.sessions.list(id))[0]).toMatchObject({ clientAddress: '192.0.2.1' })
  })
})
