import { describe, expect, test } from 'vitest'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { login, outcomeOf, person, settle, setUp } from './setup.ts'

describe('a token', () => {
  test.each([
    ['\u0000'],
    ['\u001b[2J'],
    ['\r\nset-cookie: a=b'],
    ['\u009b'],
    ['\u2028'],
    ['\u2029'],
    ['\u202e'],
    ['\u2066'],
  ])('a name holds nothing that ends its line or turns the direction of text: %j', async (text) => {
    const { keys, devices } = setUp()
    const reason =
      '`name` must have 1 to 100 characters, and no control characters, also none that turn the direction of text'
    await expect(keys.create({ name: `a${text}b` })).rejects.toThrow(new TypeError(reason))
    await expect(devices.create({ name: `a${text}b` })).rejects.toThrow(new TypeError(reason))
    const { id } = await devices.create({ name: 'עברית \u200d<b>' })
    await expect(devices.rename(id, `a${text}b`)).rejects.toThrow(new TypeError(reason))
  })

  test('has 66 characters in a scannable form, and no part of its secret is stored', async () => {
    const setup = setUp()
    const { id, token, record } = await setup.keys.create({ name: 'ci', scopes: ['read'] })
    expect(token).toMatch(/^ugk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/)
    expect(token.slice(4, 16)).toBe(id)
    const secret = token.slice(17, 60)
    expect(JSON.stringify([record, await setup.store.keys.get(id)])).not.toContain(secret)
    expect(record).not.toHaveProperty('digest')
    expect((await setup.devices.create({ name: 'd' })).token).toMatch(/^ugd_/)
    expect((await login(setup, (await person(setup)).id)).token).toMatch(/^ugs_/)
  })

  test('that is truncated, extended, mistyped, foreign or of the wrong kind is refused without the store', async () => {
    const setup = setUp()
    const { token } = await setup.keys.create({ name: 'ci' })
    const device = await setup.devices.create({ name: 'd' })
    setup.calls.length = 0
    const typo = token.slice(0, 30) + (token[30] === 'a' ? 'b' : 'a') + token.slice(31)
    const bad: [string, string][] = [
      [token.slice(0, -1), 'too short'],
      [token.slice(0, 20), 'too short'],
      [`${token}0`, 'too long'],
      [typo, 'checksum'],
      [`${token.slice(0, -1)}!`, 'characters'],
      [`${token.slice(0, 16)}x${token.slice(17)}`, 'characters'],
      [`ugk-${token.slice(4)}`, 'kind'],
      [device.token, 'kind'],
      ['mk_0123456789', 'kind'],
      ['', 'kind'],
      ['\u{1f510}'.repeat(33), 'kind'],
    ]
    for (const [value, reason] of bad) {
      const answer = await setup.keys.verify(value)
      expect(answer, value).toMatchObject({ outcome: 'rejected', code: 'invalid_credential' })
      expect(answer, value).toMatchObject({ reason: expect.stringContaining(reason) })
      expect(JSON.stringify(answer)).not.toContain(token.slice(17, 60))
    }
    expect(setup.calls).toEqual([])
  })

  test('with a right id and a wrong secret gets the same answer as an unknown token', async () => {
    const setup = setUp()
    const other = setUp()
    const known = await setup.keys.create({ name: 'a' })
    const unknown = await other.keys.create({ name: 'b' })
    // The id of a known token with the secret of another, checksum included.
    const { crc32 } = await import('node:zlib')
    const head = `ugk_${known.id}_${unknown.token.slice(17, 60)}`
    const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
    let rest = crc32(head)
    let sum = ''
    for (let i = 0; i < 6; i++) {
      sum = alphabet[rest % 62] + sum
      rest = Math.floor(rest / 62)
    }
    expect(await setup.keys.verify(head + sum)).toEqual(await setup.keys.verify(unknown.token))
    expect(await outcomeOf(setup.keys.verify(head + sum))).toBe('invalid_credential')
    expect(await outcomeOf(setup.keys.verify(known.token))).toBe('authenticated')
  })

  test('is verified from the record: scopes, role and node id, frozen', async () => {
    const setup = setUp()
    const { id, token } = await setup.devices.create({ name: 'kitchen', scopes: ['node.read'] })
    const answer = await setup.devices.verify(token)
    expect(answer).toEqual({
      outcome: 'authenticated',
      principal: {
        kind: 'device',
        id,
        scheme: 'device-token',
        credentialId: id,
        scopes: ['node.read'],
        roles: ['node'],
        displayName: 'kitchen',
        attributes: {},
      },
    })
    if (answer.outcome !== 'authenticated') return
    for (const value of [answer, answer.principal, answer.principal.scopes, answer.principal.roles]) {
      expect(Object.isFrozen(value)).toBe(true)
    }
  })

  test('of a key that acts for a user has the scopes that both key and user hold', async () => {
    const setup = setUp()
    const account = await person(setup)
    const { token } = await setup.keys.create({
      name: 'ci',
      accountId: account.id,
      scopes: ['read', 'delete'],
      roles: ['admin', 'root'],
    })
    expect(await setup.keys.verify(token)).toMatchObject({
      principal: { kind: 'user', id: account.id, scopes: ['read'], roles: ['admin'] },
    })
    await setup.accounts.setScopes(account.id, ['write'])
    expect(await setup.keys.verify(token)).toMatchObject({ principal: { scopes: [] } })
    await setup.accounts.disable(account.id)
    expect(await outcomeOf(setup.keys.verify(token))).toBe('account_disabled')
    await expect(setup.keys.create({ name: 'x', accountId: 'nobody' })).rejects.toThrow(/accountId/)
  })

  test('expires, and the answer says so only after the secret verified', async () => {
    const setup = setUp()
    const { token } = await setup.keys.create({ name: 'ci', expiresAt: setup.clock.now() + 5000 })
    expect(await outcomeOf(setup.keys.verify(token))).toBe('authenticated')
    setup.clock.advance(4999)
    expect(await outcomeOf(setup.keys.verify(token))).toBe('authenticated')
    setup.clock.advance(1)
    expect(await outcomeOf(setup.keys.verify(token))).toBe('expired_credential')
  })
})

describe('the cache of verified credentials', () => {
  test('answers synchronously, with the same frozen answer, and asks the store once a minute', async () => {
    const setup = setUp()
    const { token } = await setup.keys.create({ name: 'ci' })
    const first = await setup.keys.verify(token)
    setup.calls.length = 0
    expect(setup.keys.verify(token)).toBe(first)
    setup.clock.advance(59_999)
    expect(setup.keys.verify(token)).toBe(first)
    expect(setup.calls.filter((call) => call === 'keys.get')).toEqual([])
    setup.clock.advance(1)
    expect(setup.keys.verify(token)).toBeInstanceOf(Promise)
    await settle()
    expect(setup.calls).toContain('keys.get')
  })

  test('asks the store once for concurrent identical misses', async () => {
    const setup = setUp()
    const { token } = await setup.keys.create({ name: 'ci' })
    setup.calls.length = 0
    const answers = await Promise.all(Array.from({ length: 100 }, () => setup.keys.verify(token)))
    expect(new Set(answers).size).toBe(1)
    expect(setup.calls.filter((call) => call === 'keys.get')).toHaveLength(1)
  })

  test('does not keep refusals, so that a flood of bad tokens evicts no valid one', async () => {
    const setup = setUp({ limits: { cacheEntries: 4 } })
    const good = await setup.keys.create({ name: 'good' })
    const foreign = setUp()
    await setup.keys.verify(good.token)
    for (let i = 0; i < 50; i++) {
      await setup.keys.verify((await foreign.keys.create({ name: 'x' })).token)
    }
    expect(setup.keys.verify(good.token)).not.toBeInstanceOf(Promise)
  })

  test('is bounded, and keeps entries in use', async () => {
    const setup = setUp({ limits: { cacheEntries: 10 } })
    const tokens: string[] = []
    for (let i = 0; i < 40; i++) tokens.push((await setup.keys.create({ name: 'k' })).token)
    for (const token of tokens) {
      await setup.keys.verify(token)
      await setup.keys.verify(tokens[0] as string)
    }
    const cached = tokens.filter((token) => !(setup.keys.verify(token) instanceof Promise))
    expect(cached.length).toBeLessThanOrEqual(10)
    expect(cached).toContain(tokens[0])
    await settle()
  })

  test('does not keep entries longer if the clock is set back', async () => {
    let now = 1_700_000_000_000
    const timers = { setTimer: () => ({ cancel() {} }) }
    const setup = setUp({ clock: { now: () => now, ...timers } })
    const { token } = await setup.keys.create({ name: 'ci' })
    await setup.keys.verify(token)
    now -= 3_600_000
    expect(setup.keys.verify(token)).toBeInstanceOf(Promise)
    await settle()
  })

  test('forgets a record that gained rights, and ends nothing', async () => {
    const setup = setUp()
    const seen: unknown[] = []
    setup.revocations.subscribe((revocation) => seen.push(revocation))
    const { id, token } = await setup.keys.create({ name: 'ci', scopes: ['a'] })
    await setup.keys.verify(token)
    await setup.keys.setScopes(id, ['a', 'b'])
    expect(await setup.keys.verify(token)).toMatchObject({ principal: { scopes: ['a', 'b'] } })
    expect(seen).toEqual([])
  })
})

describe('a revocation', () => {
  test('takes effect at once, is announced with the commit, and has its own code', async () => {
    const setup = setUp()
    const { id, token } = await setup.devices.create({ name: 'd' })
    await setup.devices.verify(token)
    const seen: unknown[] = []
    setup.devices.revocations.subscribe((revocation) => seen.push(revocation))
    const record = await setup.devices.revoke(id)
    expect(record?.revokedAt).toBe(setup.clock.now())
    expect(seen).toEqual([
      { sequence: 1, at: setup.clock.now(), selector: { credentialId: id }, reason: 'revoked' },
    ])
    expect(setup.revocations.sequence()).toBe(1)
    expect(await outcomeOf(setup.devices.verify(token))).toBe('revoked_credential')
    await setup.devices.revoke(id)
    expect(seen).toHaveLength(1)
    expect(await setup.devices.list()).toEqual([])
    expect(await setup.devices.list({ revoked: true })).toHaveLength(1)
    expect(await setup.devices.revoke('nobody')).toBeUndefined()
  })

  test('wins against a verification in flight that read the record before', async () => {
    const store = memoryStore()
    const here = setUp({ store })
    const there = setUp({ store })
    const { id, token } = await there.devices.create({ name: 'd' })
    const other = await there.devices.create({ name: 'other' })
    const release = here.hold('devices.get')
    const verifying = here.devices.verify(token)
    await settle()
    await there.devices.revoke(other.id)
    await there.devices.revoke(id)
    await here.revocations.sync()
    release()
    expect(await outcomeOf(verifying)).toBe('revoked_credential')
    expect(await outcomeOf(here.devices.verify(token))).toBe('revoked_credential')
  })

  test('of another principal does not disturb a verification in flight', async () => {
    const setup = setUp()
    const { token } = await setup.devices.create({ name: 'd' })
    const { id } = await setup.keys.create({ name: 'k' })
    const release = setup.hold('devices.get')
    const verifying = setup.devices.verify(token)
    await settle()
    await setup.keys.revoke(id)
    release()
    expect(await outcomeOf(verifying)).toBe('authenticated')
    expect(setup.calls.filter((call) => call === 'devices.get')).toHaveLength(1)
  })

  test('narrower scopes and an earlier expiry end live sockets; other changes do not', async () => {
    const setup = setUp()
    const reasons: string[] = []
    setup.revocations.subscribe(({ reason }) => reasons.push(reason))
    const { id, token } = await setup.keys.create({ name: 'ci', scopes: ['a', 'b'] })
    await setup.keys.verify(token)
    await setup.keys.rename(id, 'new name')
    await setup.keys.setScopes(id, ['b', 'a', 'c'])
    expect(reasons).toEqual([])
    await setup.keys.setScopes(id, ['a'])
    expect(reasons).toEqual(['narrowed'])
    expect(await setup.keys.verify(token)).toMatchObject({
      principal: { scopes: ['a'], displayName: 'new name' },
    })
    await setup.keys.setExpiry(id, setup.clock.now() + 1000)
    await setup.keys.setExpiry(id, setup.clock.now() + 2000)
    await setup.keys.setExpiry(id, undefined)
    expect(reasons).toEqual(['narrowed', 'narrowed'])
  })

  test('of another process is read from the log, in order, and drops remembered answers', async () => {
    const store = memoryStore()
    const here = setUp({ store })
    const there = setUp({ store })
    await settle()
    const seen: number[] = []
    here.revocations.subscribe(({ sequence }) => seen.push(sequence))
    const a = await there.devices.create({ name: 'a' })
    const b = await here.devices.create({ name: 'b' })
    await here.devices.verify(a.token)
    await there.devices.revoke(a.id)
    expect(here.devices.verify(a.token)).toMatchObject({ outcome: 'authenticated' })
    here.clock.advance(1000)
    await settle()
    expect(await outcomeOf(here.devices.verify(a.token))).toBe('revoked_credential')
    expect(seen).toEqual([1])
    // First a foreign entry that we have not read, then ours: ours takes effect at once, and the foreign one
    // is not lost.
    const c = await there.devices.create({ name: 'c' })
    await there.devices.revoke(c.id)
    await here.devices.revoke(b.id)
    expect(seen).toEqual([1, 3, 2, 3])
    await there.revocations.sync()
    expect(there.revocations.sequence()).toBe(3)
  })

  test('reaches every listener, even if one throws', async () => {
    const errors: string[] = []
    const setup = setUp({ logger: { warn() {}, error: (message) => errors.push(message) } })
    const seen: unknown[] = []
    setup.revocations.subscribe(() => {
      throw new Error('broken')
    })
    const leave = setup.revocations.subscribe((revocation) => seen.push(revocation))
    await setup.keys.revoke((await setup.keys.create({ name: 'a' })).id)
    expect(seen).toHaveLength(1)
    expect(errors).toHaveLength(1)
    leave()
    await setup.keys.revoke((await setup.keys.create({ name: 'b' })).id)
    expect(seen).toHaveLength(1)
  })

  test('requested ten times at once is written once', async () => {
    const setup = setUp()
    const { id } = await setup.keys.create({ name: 'a' })
    await Promise.all(Array.from({ length: 10 }, () => setup.keys.revoke(id)))
    expect(await setup.store.revocations.head()).toBe(1)
  })
})

describe('a log that lost entries before they were read', () => {
  test('makes every client prove itself again: the lost entries may concern any principal', async () => {
    const store = memoryStore()
    const setup = setUp({
      store: { ...store, revocations: { ...store.revocations, since: async () => [entry] } },
    })
    const entry = { sequence: 100, at: 1, selector: { credentialId: 'x' }, reason: 'revoked' } as const
    const { token } = await setup.devices.create({ name: 'd' })
    await setup.devices.verify(token)
    const seen: unknown[] = []
    setup.revocations.subscribe(({ sequence, selector }) => seen.push([sequence, selector]))
    await setup.revocations.sync()
    expect(seen).toEqual([
      [99, { kind: 'user' }],
      [99, { kind: 'device' }],
      [99, { kind: 'service' }],
      [100, { credentialId: 'x' }],
    ])
    expect(setup.devices.verify(token)).toBeInstanceOf(Promise)
    await settle()
  })
})

describe('a store that cannot answer', () => {
  test('is `unavailable`, never `rejected`, and never an empty answer', async () => {
    const setup = setUp()
    const account = await person(setup)
    const key = await setup.keys.create({ name: 'k' })
    const device = await setup.devices.create({ name: 'd' })
    const session = await login(setup, account.id)
    setup.broken.add('*')
    expect(await setup.keys.verify(key.token)).toMatchObject({ outcome: 'unavailable', retryAfter: 5 })
    expect(await outcomeOf(setup.devices.verify(device.token))).toBe('unavailable')
    expect(await outcomeOf(setup.sessions.verify(session.token))).toBe('unavailable')
    expect(await outcomeOf(setup.accounts.login('ada@example.com', 'whatever password'))).toBe('unavailable')
    const failure = { name: 'StoreUnavailable', code: 'store_full' }
    await expect(setup.accounts.any()).rejects.toMatchObject(failure)
    await expect(setup.accounts.createFirst({ email: 'b@example.com' })).rejects.toMatchObject(failure)
    await expect(setup.accounts.byEmail('ada@example.com')).rejects.toMatchObject(failure)
    await expect(setup.keys.list()).rejects.toMatchObject(failure)
    await expect(setup.keys.revoke(key.id)).rejects.toMatchObject(failure)
    await expect(setup.sessions.create(account.id)).rejects.toMatchObject(failure)
    setup.broken.clear()
    expect(await outcomeOf(setup.keys.verify(key.token))).toBe('authenticated')
    expect(await outcomeOf(setup.sessions.verify(session.token))).toBe('authenticated')
  })

  test('verifies nothing before the end of the log is known: a revocation could be missed', async () => {
    const setup = setUp()
    const { token } = await setup.keys.create({ name: 'k' })
    setup.broken.add('revocations.head')
    const fresh = setUp({ store: setup.store })
    expect(await outcomeOf(fresh.keys.verify(token))).toBe('unavailable')
    setup.broken.clear()
    expect(await outcomeOf(fresh.keys.verify(token))).toBe('authenticated')
  })

  test('with slow answers: both the wait and the number of waiting look-ups are bounded', async () => {
    const setup = setUp({ limits: { lookupsInFlight: 2 } })
    const tokens: string[] = []
    for (let i = 0; i < 3; i++) tokens.push((await setup.keys.create({ name: 'k' })).token)
    const release = setup.hold('keys.get')
    const [a, b, c] = tokens as [string, string, string]
    const waiting = [setup.keys.verify(a), setup.keys.verify(b)]
    await settle()
    expect(await setup.keys.verify(c)).toMatchObject({ outcome: 'unavailable', retryAfter: 1 })
    setup.clock.advance(5000)
    expect(await Promise.all(waiting.map(outcomeOf))).toEqual(['unavailable', 'unavailable'])
    // The earlier look-ups are still under way, so there is no room yet.
    expect(await outcomeOf(setup.keys.verify(c))).toBe('unavailable')
    release()
    await settle()
    expect(await outcomeOf(setup.keys.verify(c))).toBe('authenticated')
  })

  test('loses times of use instead of logins', async () => {
    const setup = setUp()
    const { token } = await setup.keys.create({ name: 'k' })
    setup.broken.add('keys.touch')
    expect(await outcomeOf(setup.keys.verify(token))).toBe('authenticated')
    setup.clock.advance(5000)
    await settle()
    expect(setup.calls).toContain('keys.touch')
  })
})

describe('last use', () => {
  test('is written later, once for many, and no verification waits for it', async () => {
    const setup = setUp()
    const { id, token } = await setup.keys.create({ name: 'k' })
    await Promise.all(Array.from({ length: 10 }, () => setup.keys.verify(token)))
    for (let i = 0; i < 10; i++) setup.keys.verify(token)
    expect(setup.calls).not.toContain('keys.touch')
    const used = setup.clock.now()
    setup.clock.advance(5000)
    await settle()
    expect(setup.calls.filter((call) => call === 'keys.touch')).toHaveLength(1)
    expect((await setup.keys.get(id))?.lastUsedAt).toBe(used)
  })

  test('of many records is written in parts, so that other work does not wait long', async () => {
    const setup = setUp()
    for (let i = 0; i < 250; i++) await setup.keys.verify((await setup.keys.create({ name: 'k' })).token)
    await setup.close()
    expect(setup.calls.filter((call) => call === 'keys.touch')).toHaveLength(3)
    expect((await setup.keys.list()).every(({ lastUsedAt }) => lastUsedAt !== undefined)).toBe(true)
  })

  test('is written at closing', async () => {
    const setup = setUp()
    const { id, token } = await setup.keys.create({ name: 'k' })
    await setup.keys.verify(token)
    await setup.close()
    expect((await setup.keys.get(id))?.lastUsedAt).toBe(setup.clock.now())
    expect(setup.clock.pending).toBe(0)
  })
})

describe('input', () => {
  test('is checked', async () => {
    const setup = setUp()
    await expect(setup.keys.create({ name: '' })).rejects.toThrow(/`name`/)
    await expect(setup.keys.create({ name: 'x'.repeat(101) })).rejects.toThrow(/`name`/)
    await expect(setup.keys.create({ name: 'a\nb' })).rejects.toThrow(/`name`/)
    await expect(setup.keys.create({ name: 'a', scopes: ['a b'] })).rejects.toThrow(/`scopes`/)
    await expect(setup.keys.create({ name: 'a', scopes: [''] })).rejects.toThrow(/`scopes`/)
    await expect(setup.keys.create({ name: 'a', scopes: 'all' as never })).rejects.toThrow(/`scopes`/)
    await expect(setup.keys.create({ name: 'a', expiresAt: Number.NaN })).rejects.toThrow(/`expiresAt`/)
    expect((await setup.keys.create({ name: ' a ', scopes: ['b', 'b'] })).record).toMatchObject({
      name: 'a',
      scopes: ['b'],
    })
    expect(() => setUp({ limits: { cacheAge: 60_001 } })).toThrow(/`limits.cacheAge`/)
    expect(() => setUp({ limits: { lookups: 1 } as never })).toThrow(/unknown option `lookups`/)
    expect(() => setUp({ clocks: 1 } as never)).toThrow(/unknown option `clocks`/)
  })
})
