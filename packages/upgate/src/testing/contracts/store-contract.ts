import assert from 'node:assert/strict'
import { isCallable, wrongOption } from '../../core/options/check-options.ts'
import {
  type AccountRecord,
  isStoreUnavailable,
  type RevocationDraft,
  type SessionRecord,
  type Store,
} from '../../core/ports/stores.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'
import { acquaintanceContract } from './acquaintance-contract.ts'
import { type Check, skipOf } from './check.ts'
import { listContract } from './list-contract.ts'
import { pairingContract } from './pairing-contract.ts'
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

const at = 1_767_225_600_000

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

  check('numbers the log without gaps, whoever writes', async (store, fixture) => {
    const other = await fixture.connect()
    await store.accounts.add(account('a'))
    for (const n of range(20)) await store.sessions.add(session(`${n}`), 50)
    await Promise.all(range(20).map((n) => (n % 2 ? store : other).sessions.remove(`${n}`, draft(`${n}`))))
    const log = await other.revocations.since(0, 100)
    assert.deepEqual(
      log.map((entry) => entry.sequence),
      range(20).map((n) => n + 1),
      'numbers have no gap, and are in order',
    )
    assert.equal(await store.revocations.head(), 20, 'the head is the newest number')
    assert.equal(log[0]?.at, at, 'the time of the draft is kept')
    assert.equal(log[0]?.reason, 'revoked', 'the reason of the draft is kept')
    assert.deepEqual(
      ids(await store.revocations.since(5, 3), 'sequence'),
      [6, 7, 8],
      'a part of the log begins after the number, and keeps to the limit',
    )
  })

  check('takes entries of the log by themselves', async (store, fixture) => {
    const other = await fixture.connect()
    assert.deepEqual(await store.revocations.append([]), [], 'no entries are none')
    const answers = await Promise.all(
      range(6).map((n) => (n % 2 ? store : other).revocations.append([draft(`${n}a`), draft(`${n}b`)])),
    )
    const log = await other.revocations.since(0, 100)
    assert.deepEqual(
      ids(log, 'sequence'),
      range(12).map((n) => n + 1),
      'numbers have no gap, and are in order',
    )
    for (const entries of answers) {
      // Those of one call stand together.
      assert.deepEqual(
        log.slice((entries[0]?.sequence ?? 0) - 1, entries[1]?.sequence),
        entries,
        'the entries of one call stand together',
      )
    }
  })

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

  pairingContract(check)
  ticketContract(check)
  acquaintanceContract(check)
  listContract(check)

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

function account(id: string, changes: Partial<AccountRecord> = {}): AccountRecord {
  const email = `${id}@example.com`
  return { id, version: 1, email, scopes: [], roles: [], createdAt: at, sessionGeneration: 1, ...changes }
}

function session(id: string, changes: Partial<SessionRecord> = {}): SessionRecord {
  const times = { createdAt: at, lastSeenAt: at, expiresAt: at + 1000 }
  return { id, digest: `digest of ${id}`, accountId: 'a', generation: 1, ...times, ...changes }
}

function token(id: string, changes: Partial<TokenRecord> = {}): TokenRecord {
  const digest = `digest of ${id}`
  return { id, version: 1, digest, name: id, scopes: ['read'], roles: [], createdAt: at, ...changes }
}

function draft(credentialId: string): RevocationDraft {
  return { at, selector: { credentialId }, reason: 'revoked' }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, n) => n)
}

function ids<R, K extends keyof R>(records: readonly R[], key: K = 'id' as K): R[K][] {
  return records.map((record) => record[key])
}

/** Without the fields that are there and undefined: absent is the same. */
function defined(record: object | undefined): object | undefined {
  return record && Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}
