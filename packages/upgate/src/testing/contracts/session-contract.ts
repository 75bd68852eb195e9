import assert from 'node:assert/strict'
import type { Check } from './check.ts'
import { account, at, defined, draft, ids, range, session } from './records.ts'

/** Registers what every store of sessions must pass, races included. */
export function sessionContract(check: Check): void {
  check('consumes a session once', async (store, fixture) => {
    const other = await fixture.connect()
    await store.accounts.add(account('a'))
    await store.sessions.add(session('s'), 5)
    const answers = await Promise.all(
      range(10).flatMap(() => [
        store.sessions.remove('s', draft('s')),
        other.sessions.remove('s', draft('s')),
      ]),
    )
    const entries = answers.filter((entry) => entry !== undefined)
    assert.equal(entries.length, 1, 'one of many gets the entry')
    assert.deepEqual(entries[0], { sequence: 1, ...draft('s') }, 'the entry is whole, and the first one')
    assert.equal(await store.revocations.head(), 1, 'one entry is in the log')
    assert.equal(await other.sessions.get('s'), undefined, 'the session is gone, for every connection')
  })

  check('gives a session another token once', async (store, fixture) => {
    const other = await fixture.connect()
    await store.accounts.add(account('a'))
    await store.sessions.add(session('s'), 5)
    const to = (n: number) => ({ digest: `new ${n}`, previousDigest: 'digest of s', previousUntil: at + n })
    const answers = await Promise.all(
      range(10).map((n) => (n % 2 ? store : other).sessions.rotate('s', 'digest of s', to(n), draft('s'))),
    )
    const entries = answers.filter((entry) => entry !== undefined)
    assert.deepEqual(entries, [{ sequence: 1, ...draft('s') }], 'one of many gets the entry')
    const winner = answers.findIndex((entry) => entry !== undefined)
    assert.deepEqual(
      defined(await other.sessions.get('s')),
      defined(session('s', to(winner))),
      'the session has the token of the one that won',
    )
    assert.equal(
      await store.sessions.rotate('gone', 'x', to(1), draft('gone')),
      undefined,
      'a session that is not there is not rotated',
    )
    await store.sessions.remove('s', draft('s'))
    assert.equal(
      await store.sessions.rotate('s', `new ${winner}`, to(1), draft('s')),
      undefined,
      'a session that ended is not rotated',
    )
    assert.equal(await store.revocations.head(), 2, 'a rotation and a removal are in the log')
  })

  check('keeps at most so many sessions per account', async (store) => {
    await store.accounts.add(account('a'))
    await store.accounts.add(account('b'))
    await store.sessions.add(session('of b', { accountId: 'b' }), 2)
    for (const id of ['1', '2'])
      assert.deepEqual(
        await store.sessions.add(session(id), 2),
        [],
        'as many sessions as allowed end no other',
      )
    const evicted = await store.sessions.add(session('3'), 2)
    assert.deepEqual(
      evicted?.map((entry) => [entry.sequence, entry.selector, entry.reason]),
      [[1, { sessionId: '1' }, 'revoked']],
      'the oldest one ends, with an entry in the log',
    )
    assert.deepEqual(ids(await store.sessions.list('a')), ['3', '2'], 'the newest ones stay')
    assert.deepEqual(ids(await store.sessions.list('b')), ['of b'], 'the sessions of another account stay')
  })

  check('never has more sessions than allowed, whoever logs in at once', async (store, fixture) => {
    const other = await fixture.connect()
    await store.accounts.add(account('a'))
    await Promise.all(range(20).map((n) => (n % 2 ? store : other).sessions.add(session(`${n}`), 3)))
    assert.equal((await store.sessions.list('a')).length, 3, 'no more sessions than allowed are there')
    assert.equal(await store.revocations.head(), 17, 'each session that ended is in the log')
  })

  check('tidies sessions up by generation and by age', async (store) => {
    await store.accounts.add(account('a'))
    await store.sessions.add(session('old', { generation: 1 }), 9)
    await store.sessions.add(session('new', { generation: 2 }), 9)
    assert.equal(await store.sessions.removeOf('a', 2), 1, 'one session of an older generation is removed')
    assert.deepEqual(
      ids(await store.sessions.list('a')),
      ['new'],
      'the session of the newer generation stays',
    )
    // A caller that is late must not remove the sessions of a generation that it has not heard of.
    assert.equal(await store.sessions.removeOf('a', 1), 0, 'a caller that is late removes none')
    assert.deepEqual(
      ids(await store.sessions.list('a')),
      ['new'],
      'the session of the newer generation stays',
    )
    await store.sessions.add(session('ended', { expiresAt: at }), 9)
    await store.sessions.add(session('idle', { lastSeenAt: at - 1 }), 9)
    assert.equal(await store.sessions.purge(at, at, 10), 2, 'the expired and the idle one are forgotten')
    assert.deepEqual(ids(await store.sessions.list('a')), ['new'], 'the live one stays')
  })

  check('reads a session with its account, as of one moment', async (store, fixture, skip) => {
    const both = store.sessionsWithAccounts
    if (both === undefined) return skip('The store has no `sessionsWithAccounts`: it is asked twice.')
    assert.equal(both.sessions, store.sessions, 'it reads the sessions of the store')
    assert.equal(both.accounts, store.accounts, 'it reads the accounts of the store')
    const other = await fixture.connect()
    const person = account('a', {
      passwordHash: '$scrypt$',
      roles: ['admin'],
      scopes: ['read'],
      disabledAt: at,
      notBefore: at + 1,
      deviceCookies: ['one'],
    })
    await other.accounts.add(person)
    await other.accounts.add(account('b'))
    const login = session('s', {
      label: 'Firefox',
      clientAddress: '192.0.2.1',
      previousDigest: 'x',
      previousUntil: at,
    })
    await other.sessions.add(login, 5)
    await other.sessions.add(session('t', { accountId: 'b' }), 5)
    const { account: found, ...record } = (await both.get('s')) ?? assert.fail('the session is there')
    assert.deepEqual(defined(record), defined(login), 'the session is whole')
    assert.deepEqual(defined(found), defined(person), 'the account is whole')
    assert.deepEqual(
      defined((await both.get('t'))?.account),
      defined(account('b')),
      'each with its own account',
    )
    assert.equal(await both.get('a'), undefined, 'an id of an account is no id of a session')
    const changing = other.accounts.replace({ ...person, version: 2, scopes: [] }, [])
    const versions = await Promise.all(range(5).map(async () => (await both.get('s'))?.account?.version))
    assert.ok(
      versions.every((version) => version === 1 || version === 2),
      `before or after: ${versions}`,
    )
    await changing
    assert.deepEqual((await both.get('s'))?.account?.scopes, [], 'a change counts at once')
    await other.sessions.remove('s', draft('s'))
    assert.equal(await both.get('s'), undefined, 'a session that ended is gone')
  })
}
