import { describe, expect, test } from 'vitest'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { login, outcomeOf, person, type Setup, settle, setUp } from './setup.ts'

const day = 24 * 3_600_000
const grace = 10_000

async function rotated(setup: Setup) {
  const account = await person(setup)
  const before = await login(setup, account.id)
  const answer = await setup.sessions.rotate(before.session.id)
  if (answer.outcome !== 'done') throw new Error(answer.reason)
  return { account, id: before.session.id, old: before.token, fresh: answer.token }
}

describe('a stolen token from before the rotation of its session', () => {
  // A thief that replays it has lost the race already. If the replay ended the session, an old copy could log
  // its owner out.
  test('is refused after the grace, however often, and the session goes on', async () => {
    const setup = setUp()
    const { account, old, fresh } = await rotated(setup)
    setup.clock.advance(grace)
    const head = await setup.store.revocations.head()
    for (let i = 0; i < 20; i++)
      expect(await outcomeOf(setup.sessions.verify(old))).toBe('revoked_credential')
    expect(await outcomeOf(setup.sessions.verify(fresh))).toBe('authenticated')
    expect(await setup.sessions.list(account.id)).toHaveLength(1)
    expect(await setup.store.revocations.head()).toBe(head)
  })

  test('does not outlive the grace in the cache', async () => {
    const setup = setUp()
    const { old } = await rotated(setup)
    setup.clock.advance(grace - 1)
    expect(await outcomeOf(setup.sessions.verify(old))).toBe('authenticated')
    const asked = setup.calls.length
    expect(await outcomeOf(setup.sessions.verify(old))).toBe('authenticated')
    expect(setup.calls).toHaveLength(asked)
    setup.clock.advance(1)
    expect(await outcomeOf(setup.sessions.verify(old))).toBe('revoked_credential')
  })

  test('is bounded by the grace even if it was remembered as valid before the rotation', async () => {
    const setup = setUp()
    const { session, token } = await login(setup, (await person(setup)).id)
    const first = await setup.sessions.verify(token)
    expect(first).toMatchObject({ principal: { expiresAt: setup.clock.now() + 7 * day } })
    await setup.sessions.rotate(session.id)
    expect(await setup.sessions.verify(token)).toMatchObject({
      principal: { expiresAt: setup.clock.now() + grace },
    })
  })

  test('is refused if the grace ends during the look-up', async () => {
    const setup = setUp()
    const { old } = await rotated(setup)
    const release = setup.hold('sessions.get')
    const answer = outcomeOf(setup.sessions.verify(old))
    await settle()
    setup.clock.advance(grace)
    release()
    // The look-up may also have timed out: only the refusal matters.
    expect(['revoked_credential', 'unavailable']).toContain(await answer)
    expect(await outcomeOf(setup.sessions.verify(old))).toBe('revoked_credential')
  })

  test('ends with the session, like the new one', async () => {
    const setup = setUp()
    const { id, old, fresh } = await rotated(setup)
    for (const token of [old, fresh])
      expect(await outcomeOf(setup.sessions.verify(token))).toBe('authenticated')
    await setup.sessions.revoke(id)
    for (const token of [old, fresh])
      expect(await outcomeOf(setup.sessions.verify(token))).toBe('invalid_credential')
  })

  test('ends at once if the next rotation has no grace', async () => {
    const setup = setUp()
    const { id, old, fresh } = await rotated(setup)
    expect(await setup.sessions.rotate(id)).toMatchObject({ code: 'rotation_pending' })
    const last = await setup.sessions.rotate(id, { grace: 0 })
    expect(await outcomeOf(setup.sessions.verify(old))).toBe('invalid_credential')
    expect(await outcomeOf(setup.sessions.verify(fresh))).toBe('revoked_credential')
    expect(last.outcome === 'done' && (await outcomeOf(setup.sessions.verify(last.token)))).toBe(
      'authenticated',
    )
  })

  test('has the same grace on other instances', async () => {
    const store = memoryStore()
    const [here, there] = [setUp({ store }), setUp({ store })]
    const account = await person(here)
    const { session, token } = await login(here, account.id)
    await there.sessions.verify(token)
    await here.sessions.rotate(session.id)
    await there.revocations.sync()
    expect(await there.sessions.verify(token)).toMatchObject({
      principal: { expiresAt: there.clock.now() + grace },
    })
    there.clock.advance(grace)
    expect(await outcomeOf(there.sessions.verify(token))).toBe('revoked_credential')
  })
})

describe('rotating a session', () => {
  test('extends neither the absolute nor the idle life of the session', async () => {
    const setup = setUp({ limits: { sessionIdle: 10 * day, sessionAbsolute: 15 * day } })
    const { session } = await login(setup, (await person(setup)).id)
    const started = setup.clock.now()
    setup.clock.advance(9 * day)
    const answer = await setup.sessions.rotate(session.id)
    expect(answer).toMatchObject({ session: { endsAt: started + 15 * day, expiresAt: started + 10 * day } })
    const token = answer.outcome === 'done' ? answer.token : ''
    setup.clock.advance(day)
    expect(await outcomeOf(setup.sessions.verify(token))).toBe('expired_credential')
  })

  test('does not change the number of sessions', async () => {
    const setup = setUp({ limits: { sessionsPerAccount: 2 } })
    const account = await person(setup)
    const [first, second] = [await login(setup, account.id), await login(setup, account.id)]
    const answer = await setup.sessions.rotate(first.session.id)
    const fresh = answer.outcome === 'done' ? answer.token : ''
    for (const token of [first.token, fresh, second.token]) {
      expect(await outcomeOf(setup.sessions.verify(token))).toBe('authenticated')
    }
    // The oldest session ends, rotated or not, with both of its tokens.
    await login(setup, account.id)
    for (const token of [first.token, fresh]) {
      expect(await outcomeOf(setup.sessions.verify(token))).toBe('invalid_credential')
    }
    expect(await outcomeOf(setup.sessions.verify(second.token))).toBe('authenticated')
  })

  test('of an account that is being disabled gives no valid token', async () => {
    const setup = setUp()
    const account = await person(setup)
    const { session } = await login(setup, account.id)
    const [, answer] = await Promise.all([
      setup.accounts.disable(account.id),
      setup.sessions.rotate(session.id),
    ])
    const token = answer.outcome === 'done' ? answer.token : undefined
    if (token !== undefined) expect(await outcomeOf(setup.sessions.verify(token))).not.toBe('authenticated')
    expect(await setup.sessions.rotate(session.id)).toMatchObject({ outcome: 'refused' })
  })

  test('the old token gains new privileges too during the grace: grow first, then rotate', async () => {
    const setup = setUp()
    const account = await person(setup, 'ada@example.com', ['read'])
    const { session, token } = await login(setup, account.id)
    await setup.sessions.verify(token)
    await setup.accounts.setScopes(account.id, ['read', 'admin'])
    const answer = await setup.sessions.rotate(session.id, { grace: 0 })
    expect(await outcomeOf(setup.sessions.verify(token))).toBe('revoked_credential')
    expect(answer.outcome === 'done' && (await setup.sessions.verify(answer.token))).toMatchObject({
      principal: { scopes: ['read', 'admin'] },
    })
  })
})
