import assert from 'node:assert/strict'
import { isCallable, wrongOption } from '../../core/options/check-options.ts'
import { isStoreUnavailable, type Store } from '../../core/ports/stores.ts'
import { acquaintanceContract } from './acquaintance-contract.ts'
import { type Check, skipOf } from './check.ts'
import { listContract } from './list-contract.ts'
import { logContract } from './log-contract.ts'
import { pairingContract } from './pairing-contract.ts'
import { account, at, defined, draft, ids, range, session, token } from './records.ts'
import { sessionContract } from './session-contract.ts'
import { ticketContract } from './ticket-contract.ts'

/** One place where records are kept, for one test. */
export interface StoreFixture {
  /** Another connection to the same records; for memory the same store again. */
  connect(): Promise<Store>
  /** Closes and removes everything. */
  dispose(): Promise<void>
}

/** Throws where a contract could not register its tests, or would register none that runs. */
export function assertContract(where: string, name: unknown, make: unknown, test: unknown): void {
  if (typeof name !== 'string' || name === '') throw wrongOption(where, 'name', 'a name for the tests', name)
  if (!isCallable(make)) throw wrongOption(where, 'make', 'a function that makes an empty place', make)
  if (!isCallable(test)) throw wrongOption(where, 'test', "the test runner's function", test)
}

/** `test` of vitest, node:test, jest and others. */
export type TestFunction = (name: string, run: (...context: readonly unknown[]) => Promise<void>) => unknown

/**
 * Registers the tests that every store must pass, races included.
 *
 * @param name - what the tests are called
 * @param make - makes an empty place; called once a test
 * @param test - the test runner's function
 * @throws TypeError for an argument of another kind
 * @example
 * storeContract('memory', async () => {
 *   const store = memoryStore()
 *   return { connect: async () => store, dispose: () => store.close() }
 * }, test)
 */
export function storeContract(name: string, make: () => Promise<StoreFixture>, test: TestFunction): void {
  assertContract('storeContract', name, make, test)
  const check: Check = (what, run): void => {
    // A parameter by itself would be a callback to some test runners.
    test(`${name}: ${what}`, async (...[context]) => {
      const fixture = await make()
      try {
        await run(await fixture.connect(), fixture, skipOf(context))
      } finally {
        await fixture.dispose()
      }
    })
  }

  check('is empty at first', async (store) => {
    assert.equal(await store.accounts.any(), false, 'there is no account at first')
    assert.equal(await store.accounts.get('nobody'), undefined, 'an unknown id leads to no account')
    assert.equal(
      await store.accounts.byEmail('nobody@example.com'),
      undefined,
      'an unknown email leads to no account',
    )
    assert.deepEqual(await store.accounts.list(), [], 'the list of accounts is empty')
    assert.deepEqual(await store.keys.list(), [], 'the list of keys is empty')
    assert.deepEqual(await store.sessions.list('nobody'), [], 'the list of sessions is empty')
    assert.equal(await store.revocations.head(), 0, 'the log begins at 0')
    assert.deepEqual(await store.revocations.since(0, 10), [], 'the log is empty')
  })

  check('gives back what was put in', async (store) => {
    const person = account('a', {
      passwordHash: '$scrypt$',
      roles: ['admin'],
      disabledAt: at,
      notBefore: at + 1,
      deviceCookies: ['one', 'two'],
    })
    assert.equal(await store.accounts.add(person), true, 'a new account is added')
    assert.deepEqual(
      defined(await store.accounts.get('a')),
      defined(person),
      'the account is found by its id, whole',
    )
    assert.deepEqual(
      defined(await store.accounts.byEmail('a@example.com')),
      defined(person),
      'the account is found by its email, whole',
    )
    const before = { previousDigest: 'before', previousUntil: at + 5 }
    const login = session('s', { label: 'Firefox', clientAddress: '192.0.2.1', ...before })
    assert.deepEqual(await store.sessions.add(login, 5), [], 'a new session ends no other')
    assert.deepEqual(
      defined(await store.sessions.get('s')),
      defined(login),
      'the session is found by its id, whole',
    )
    const handed = { handedDigest: 'handed', previousHandedDigest: 'handed before' }
    const optional = { accountId: 'a', createdBy: 'a', expiresAt: at + 1, lastUsedAt: at }
    const key = token('k', { ...optional, ...before, ...handed })
    assert.equal(await store.keys.add(key), true, 'a new key is added')
    assert.deepEqual(defined(await store.keys.get('k')), defined(key), 'the key is found by its id, whole')
    assert.equal(await store.devices.get('k'), undefined, 'a key is no device')
  })

  check('keeps text as it is', async (store) => {
    const name = `'; DROP TABLE upgate_keys; -- "\u{1f510}\u0007\\ ${'x'.repeat(60)}`
    assert.equal(await store.keys.add(token('k', { name })), true, 'a name with odd characters is taken')
    assert.equal((await store.keys.get('k'))?.name, name, 'the name comes back as it was')
    assert.equal(await store.keys.get("k' OR '1'='1"), undefined, 'an id is text, and no part of a query')
  })

  check('lists in order of creation, sessions newest first', async (store) => {
    for (const id of ['c', 'a', 'b']) {
      await store.accounts.add(account(id))
      await store.devices.add(token(id))
    }
    for (const id of ['3', '1', '2']) await store.sessions.add(session(id), 5)
    assert.deepEqual(
      ids(await store.accounts.list()),
      ['c', 'a', 'b'],
      'accounts are listed in order of creation',
    )
    assert.deepEqual(
      ids(await store.devices.list()),
      ['c', 'a', 'b'],
      'devices are listed in order of creation',
    )
    assert.deepEqual(ids(await store.sessions.list('a')), ['2', '1', '3'], 'sessions are listed newest first')
  })

  check('adds only if absent, by id and by email', async (store) => {
    assert.equal(await store.accounts.add(account('a')), true, 'a new account is added')
    assert.equal(
      await store.accounts.add(account('a', { email: 'other@example.com' })),
      false,
      'an id that is taken is refused',
    )
    assert.equal(
      await store.accounts.add(account('b', { email: 'a@example.com' })),
      false,
      'an email that is taken is refused',
    )
    assert.equal(await store.keys.add(token('k')), true, 'a new key is added')
    assert.equal(
      await store.keys.add(token('k', { digest: 'other' })),
      false,
      'an id that is taken is refused',
    )
    assert.equal((await store.keys.get('k'))?.digest, 'digest of k', 'the refused one changed nothing')
    assert.deepEqual(await store.sessions.add(session('s'), 5), [], 'a new session is added')
    assert.equal(await store.sessions.add(session('s'), 5), undefined, 'an id that is taken is refused')
  })

  check('of concurrent adders of the same one gets true', async (store, fixture) => {
    const other = await fixture.connect()
    const answers = await Promise.all(
      range(10).flatMap((n) => [
        store.accounts.add(account('a', { scopes: [`${n}`] })),
        other.accounts.add(account(`b${n}`, { email: 'a@example.com' })),
      ]),
    )
    assert.equal(answers.filter(Boolean).length, 1, 'one of many adds the account')
    assert.equal((await store.accounts.list()).length, 1, 'one account is there')
  })

  check('of concurrent set-ups one gets true', async (store, fixture) => {
    const other = await fixture.connect()
    const answers = await Promise.all(
      range(10).flatMap((n) => [
        store.accounts.addFirst(account(`a${n}`)),
        other.accounts.addFirst(account(`b${n}`)),
      ]),
    )
    assert.equal(answers.filter(Boolean).length, 1, 'one of many sets up')
    assert.equal((await other.accounts.list()).length, 1, 'one account is there')
    assert.equal(await store.accounts.addFirst(account('late')), false, 'it is set up already')
    assert.equal(await other.accounts.any(), true, 'every connection sees the account')
  })

  check('compares and sets', async (store, fixture) => {
    const other = await fixture.connect()
    await store.keys.add(token('k'))
    const answers = await Promise.all(
      range(10).flatMap((n) => [
        store.keys.replace(token('k', { version: 2, name: `s${n}` }), [draft('k')]),
        other.keys.replace(token('k', { version: 2, name: `o${n}` }), [draft('k')]),
      ]),
    )
    const won = answers.filter((entries) => entries !== undefined)
    assert.equal(won.length, 1, 'one of many writes')
    assert.equal((await other.keys.get('k'))?.version, 2, 'the next version is there')
    // The late writer has left no trace in the log either.
    assert.equal(await store.revocations.head(), 1, 'the writes that lost left nothing in the log')
    assert.equal(
      await store.keys.replace(token('nobody', { version: 2 }), [draft('k')]),
      undefined,
      'a record that is not there is not written',
    )
    assert.equal(await store.revocations.head(), 1, 'nor does it leave anything in the log')
  })

  check('gives an account no email that another one has', async (store) => {
    await store.accounts.add(account('a'))
    await store.accounts.add(account('b'))
    const taken = account('a', { version: 2, email: 'b@example.com' })
    assert.equal(await store.accounts.replace(taken, [draft('a')]), undefined, 'the email is taken')
    assert.equal((await store.accounts.get('a'))?.email, 'a@example.com', 'nothing changed')
    assert.equal((await store.accounts.byEmail('b@example.com'))?.id, 'b', 'the email leads where it led')
    assert.equal(await store.revocations.head(), 0, 'nothing is in the log')
    const free = account('a', { version: 2, email: 'c@example.com' })
    assert.equal((await store.accounts.replace(free, [draft('a')]))?.length, 1, 'a free email is taken')
    assert.equal((await store.accounts.byEmail('c@example.com'))?.id, 'a', 'the new email leads to it')
    assert.equal(await store.accounts.byEmail('a@example.com'), undefined, 'the old email leads nowhere')
  })

  check('clears optional fields', async (store) => {
    await store.accounts.add(account('a', { disabledAt: at, notBefore: at, passwordHash: 'x' }))
    await store.accounts.replace(account('a', { version: 2 }), [])
    const changed = await store.accounts.get('a')
    assert.equal(changed?.disabledAt, undefined, '`disabledAt` is cleared')
    assert.equal(changed?.notBefore, undefined, '`notBefore` is cleared')
    assert.equal(changed?.passwordHash, undefined, '`passwordHash` is cleared')
  })

  check('touches forward only, and no record that changed meanwhile', async (store) => {
    await store.accounts.add(account('a'))
    await store.sessions.add(session('s'), 9)
    await store.sessions.touch([
      { id: 's', at: at + 10 },
      { id: 'gone', at },
    ])
    await store.sessions.touch([{ id: 's', at: at + 5 }])
    assert.equal((await store.sessions.get('s'))?.lastSeenAt, at + 10, 'an earlier time changes nothing')
    await store.devices.add(token('d'))
    await store.devices.touch([{ id: 'd', at: at + 7 }])
    assert.equal((await store.devices.get('d'))?.version, 1, 'a use is no new version')
    assert.deepEqual(
      await store.devices.replace(token('d', { version: 2, name: 'new' }), []),
      [],
      'the version before the use still counts',
    )
    const device = await store.devices.get('d')
    assert.deepEqual(
      [device?.name, device?.lastUsedAt],
      ['new', at + 7],
      'the change is written, and the time of use stays',
    )
  })

  check('hands out records that cannot change what is stored', async (store) => {
    const scopes = ['a']
    await store.keys.add(token('k', { scopes }))
    scopes.push('b')
    const record = await store.keys.get('k')
    try {
      const list = record?.scopes as string[] | undefined
      list?.push('c')
    } catch {
      // Frozen is right, too.
    }
    assert.deepEqual(
      (await store.keys.get('k'))?.scopes,
      ['a'],
      'what was handed out or in cannot change the record',
    )
  })

  logContract(check)
  sessionContract(check)
  pairingContract(check)
  ticketContract(check)
  acquaintanceContract(check)
  listContract(check)

  check(
    'keeps one secret of a name, whichever of concurrent callers was first',
    async (store, fixture, skip) => {
      const other = await fixture.connect()
      if (store.secrets === undefined || other.secrets === undefined) {
        return skip('The store has no `secrets`: such keys are given as options.')
      }
      const { secrets } = store
      const { secrets: same } = other
      const kept = await Promise.all(
        range(10).flatMap((n) => [secrets.keep('key', `a${n}`), same.keep('key', `b${n}`)]),
      )
      assert.equal(new Set(kept).size, 1, 'all callers get the same secret')
      assert.equal(await same.keep('key', 'later'), kept[0], 'a secret that is kept stays')
      assert.equal(await secrets.keep('other', 'another'), 'another', 'each name has a secret of its own')
    },
  )

  check('replaces and removes the device cookies of an account', async (store) => {
    await store.accounts.add(account('a'))
    assert.deepEqual(
      (await store.accounts.get('a'))?.deviceCookies ?? [],
      [],
      'an account has no device cookies at first',
    )
    await store.accounts.replace(account('a', { version: 2, deviceCookies: ['one', 'two'] }), [])
    assert.deepEqual(
      (await store.accounts.get('a'))?.deviceCookies,
      ['one', 'two'],
      'device cookies are written',
    )
    await store.accounts.replace(account('a', { version: 3 }), [])
    assert.deepEqual((await store.accounts.get('a'))?.deviceCookies ?? [], [], 'device cookies are removed')
  })

  check('says so when it is closed', async (store) => {
    await store.close()
    await store.close()
    for (const operation of [
      () => store.accounts.any(),
      () => store.sessions.get('s'),
      () => store.keys.add(token('k')),
      () => store.accounts.replace(account('a'), []),
      () => store.revocations.head(),
      () => store.pairings.get('p'),
      () => store.tickets.take('t'),
    ]) {
      const error: unknown = await operation().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      assert.ok(isStoreUnavailable(error), `rejects with StoreUnavailable, not ${String(error)}`)
      assert.equal(error.code, 'store_closed', 'after closing the code is `store_closed`')
    }
  })
}
