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

describe('the token of a session before its rotation, in the wrong hands', () => {
  // Whoever replays it has lost the race already. Ending the session for it would let an old copy log its owner out.
  test('is refused when the grace is over, however often, and the session goes on', async () => {
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

  test('does not live on in the cache when the grace is over', async () => {
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

  test('was remembered as valid before the rotation, and is bounded by the grace all the same', async () => {
    const setup = setUp()
    const { session, token } = await login(setup, (await person(setup)).id)
    const first = await setup.sessions.verify(token)
    expect(first).toMatchObject({ principal: { expiresAt: setup.clock.now() + 7 * day } })
    await setup.sessions.rotate(session.id)
    expect(await setup.sessions.verify(token)).toMatchObject({
      principal: { expiresAt: setup.clock.now() + grace },
    })
  })

  test('is refused where the grace ends while the store is being asked', async () => {
    const setup = setUp()
    const { old } = await rotated(setup)
    const release = setup.hold('sessions.get')
    const answer = outcomeOf(setup.sessions.verify(old))
    await settle()
    setup.clock.advance(grace)
    release()
    // The look-up may also have run out of time; it is not let in, that is what counts.
    expect(['revoked_credential', 'unavailable']).toContain(await answer)
    expect(await outcomeOf(setup.sessions.verify(old))).toBe('revoked_credential')
  })

  test('ends with the session, as does the new one', async () => {
    const setup = setUp()
    const { id, old, fresh } = await rotated(setup)
    for (const token of [old, fresh])
      expect(await outcomeOf(setup.sessions.verify(token))).toBe('authenticated')
    await setup.sessions.revoke(id)
    for (const token of [old, fresh])
      expect(await outcomeOf(setup.sessions.verify(token))).toBe('invalid_credential')
  })

  test('ends at once where the next rotation leaves no grace', async () => {
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

  test('has its grace on other instances, and not a moment more', async () => {
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
  test('lengthens no life: neither the absolute one nor the one without use', async () => {
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

  test('takes no place of another session, and gives none', async () => {
    const setup = setUp({ limits: { sessionsPerAccount: 2 } })
    const account = await person(setup)
    const [first, second] = [await login(setup, account.id), await login(setup, account.id)]
    const answer = await setup.sessions.rotate(first.session.id)
    const fresh = answer.outcome === 'done' ? answer.token : ''
    for (const token of [first.token, fresh, second.token]) {
      expect(await outcomeOf(setup.sessions.verify(token))).toBe('authenticated')
    }
    // The oldest goes, rotated or not, with both of its tokens.
    await login(setup, account.id)
    for (const token of [first.token, fresh]) {
      expect(await outcomeOf(setup.sessions.verify(token))).toBe('invalid_credential')
    }
    expect(await outcomeOf(setup.sessions.verify(second.token))).toBe('authenticated')
  })

  test('of an account that is being disabled gives nothing that counts', async () => {
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

  test('gives power to the new token that the old one gets, too, for the grace: grow first, then rotate', async () => {
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
