// After an old copy of the database is restored, revocations since the copy must not be undone unnoticed.
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memoryBus } from '../../src/bus/memory.ts'
import type { Logger } from '../../src/core/ports/logger.ts'
import type { Revocation } from '../../src/core/ports/revocations.ts'
import type { Store } from '../../src/core/ports/stores.ts'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { sqliteStore } from '../../src/stores/sql/sqlite.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { goodPassword, outcomeOf, settle, setUp } from './setup.ts'

function journal(): Logger & { readonly lines: string[] } {
  const lines: string[] = []
  return { lines, warn: (message) => lines.push(message), error: (message) => lines.push(message) }
}

describe('a file of SQLite', () => {
  const clock = manualClock()
  /** Records that outlive the database, like those in Redis. */
  let elsewhere: Store
  let folder: string
  let store: Store
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'upgate-restored-'))
    elsewhere = memoryStore()
  })
  afterEach(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })

  async function start(parts: Partial<Pick<Store, 'sessions' | 'tickets'>> = {}) {
    store = await sqliteStore({ file: join(folder, 'live', 'a.db') })
    return setUp({ clock, store: { ...store, ...parts }, limits: { logInterval: 0 } })
  }

  async function copy(): Promise<void> {
    await store.close()
    await cp(join(folder, 'live'), join(folder, 'copy'), { recursive: true })
  }

  /** As the guide says: stop, and replace every file of the database. */
  async function putBack(): Promise<void> {
    await store.close()
    await rm(join(folder, 'live'), { recursive: true })
    await cp(join(folder, 'copy'), join(folder, 'live'), { recursive: true })
    // Restoring takes more than ten seconds.
    clock.advance(60_000)
  }

  async function admin(setup: Awaited<ReturnType<typeof start>>) {
    const created = await setup.accounts.create({ email: 'ada@example.com', password: goodPassword })
    if (created.outcome !== 'done') throw new Error(created.reason)
    return created.account
  }

  test('restores old credentials, and the steps of the guide end them again', async () => {
    let setup = await start()
    const account = await admin(setup)
    const session = await setup.sessions.create(account.id)
    const kept = await setup.devices.create({ name: 'kept' })
    const lost = await setup.devices.create({ name: 'lost' })
    const key = await setup.keys.create({ name: 'leaked' })
    await copy()

    setup = await start()
    await setup.sessions.revoke(session?.session.id ?? '')
    await setup.devices.revoke(lost.id)
    const rotated = await setup.keys.rotate(key.id)
    const later = await setup.devices.create({ name: 'made after the copy' })
    const outcomes = async () =>
      Promise.all(
        [
          setup.sessions.verify(session?.token ?? ''),
          setup.devices.verify(kept.token),
          setup.devices.verify(lost.token),
          setup.keys.verify(key.token),
          setup.keys.verify('token' in rotated ? rotated.token : ''),
          setup.devices.verify(later.token),
        ].map(outcomeOf),
      )
    expect(await outcomes()).toEqual([
      'invalid_credential',
      'authenticated',
      'revoked_credential',
      'revoked_credential',
      'authenticated',
      'authenticated',
    ])
    await putBack()

    // A restored database cannot know of later changes.
    setup = await start()
    expect(await outcomes()).toEqual([
      'authenticated',
      'authenticated',
      'authenticated',
      'authenticated',
      'invalid_credential',
      'invalid_credential',
    ])
    for (const { id } of await setup.accounts.list()) await setup.sessions.revokeAll(id)
    await setup.devices.revoke(lost.id)
    await setup.keys.rotate(key.id)
    expect(await outcomes()).toEqual([
      'invalid_credential',
      'authenticated',
      'revoked_credential',
      'revoked_credential',
      'invalid_credential',
      'invalid_credential',
    ])
  })

  test('restores no session that is kept elsewhere, even after its account reached the same generation', async () => {
    let setup = await start({ sessions: elsewhere.sessions })
    const account = await admin(setup)
    await copy()
    setup = await start({ sessions: elsewhere.sessions })
    // The first generation ends, and a session of the next one begins; the copy knows neither.
    await setup.sessions.revokeAll(account.id)
    const session = await setup.sessions.create(account.id)
    const verify = async () => outcomeOf(setup.sessions.verify(session?.token ?? ''))
    expect(await verify()).toBe('authenticated')
    await putBack()

    setup = await start({ sessions: elsewhere.sessions })
    expect(await verify()).toBe('revoked_credential')
    await setup.sessions.revokeAll(account.id)
    expect(await verify()).toBe('invalid_credential')
    await setup.accounts.setPassword(account.id, 'another long password')
    expect(await verify()).toBe('invalid_credential')
    expect(await setup.sessions.list(account.id)).toEqual([])
  })

  const ticketFor = { path: '/ws', origin: undefined }
  const here = { clientAddress: undefined, dryRun: false, ...ticketFor }

  test('refuses a ticket kept elsewhere that knows more revocations than the log', async () => {
    const parts = () => ({ tickets: elsewhere.tickets })
    let setup = await start(parts())
    await setup.revocations.revoke({ credentialId: 'first' })
    await copy()
    setup = await start(parts())
    await setup.revocations.sync()
    for (const id of ['second', 'third']) await setup.revocations.revoke({ credentialId: id })
    const principal = {
      kind: 'user',
      id: 'ada',
      scheme: 'own',
      scopes: [],
      roles: [],
      attributes: {},
    } as const
    const tickets = await Promise.all([1, 2, 3].map(() => setup.tickets.create(principal, ticketFor)))
    expect(await outcomeOf(setup.tickets.verify(tickets[0]?.ticket ?? '', here))).toBe('authenticated')
    await store.close()
    await rm(join(folder, 'live'), { recursive: true })
    await cp(join(folder, 'copy'), join(folder, 'live'), { recursive: true })

    setup = await start(parts())
    // Earlier numbers are used again, and one of them revokes the principal of the ticket.
    await setup.revocations.revoke({ principalId: 'ada', kind: 'user' })
    const answer = await setup.tickets.verify(tickets[1]?.ticket ?? '', here)
    expect(answer).toEqual({
      outcome: 'rejected',
      code: 'revoked_credential',
      reason: 'the log of revocations does not reach back to the ticket, or was restored from before it',
    })
  })

  test('refuses a ticket of a session with another generation, even a later one', async () => {
    let setup = await start({ tickets: elsewhere.tickets, sessions: elsewhere.sessions })
    const account = await admin(setup)
    await copy()
    setup = await start({ tickets: elsewhere.tickets, sessions: elsewhere.sessions })
    await setup.sessions.revokeAll(account.id)
    const session = await setup.sessions.create(account.id)
    const verified = await setup.sessions.verify(session?.token ?? '')
    if (verified.outcome !== 'authenticated') throw new Error('no session')
    await putBack()
    setup = await start({ tickets: elsewhere.tickets, sessions: elsewhere.sessions })
    // Created by an instance that has not noticed the restore yet.
    const { ticket } = await setup.tickets.create(verified.principal, ticketFor)
    expect(await setup.tickets.verify(ticket, here)).toMatchObject({
      outcome: 'rejected',
      code: 'revoked_credential',
      reason: 'the credential or account behind the ticket does not count any more',
    })
  })
})

describe('while instances run', () => {
  const entry = (sequence: number, credentialId: string): Revocation => ({
    sequence,
    at: 1,
    selector: { credentialId },
    reason: 'revoked',
  })

  /** Two instances that follow one log by the bus alone. */
  async function two() {
    const clock = manualClock()
    const bus = memoryBus()
    let entries = [entry(1, 'a'), entry(2, 'b'), entry(3, 'c')]
    const store: Store = {
      ...memoryStore(),
      revocations: {
        async append(drafts) {
          const added = drafts.map((draft, i) => ({ sequence: entries.length + 1 + i, ...draft }))
          entries = [...entries, ...added]
          return added
        },
        head: async () => entries.at(-1)?.sequence ?? 0,
        since: async (sequence, limit) => entries.filter((one) => one.sequence > sequence).slice(0, limit),
      },
    }
    const instance = () => {
      const logger = journal()
      return { ...setUp({ clock, bus, store, logger, limits: { logInterval: 0 } }), logger }
    }
    const [one, other] = [instance(), instance()]
    await settle()
    await one.revocations.sync()
    await other.revocations.sync()
    return {
      ...{ one, other, instance, bus, clock },
      restore(to: Revocation[]) {
        entries = to
      },
    }
  }

  const replaced = (from: number, head: number): string =>
    `The log of revocations was read up to ${from}, and ends at ${head}: an old copy of the database was put back, or it is another one. Every client has to prove itself again; what was revoked after the copy was made counts again until it is revoked again.`

  test('a lower number on the bus makes the instance read the log within a second', async () => {
    const { one, other, clock, restore } = await two()
    const seen: Revocation[] = []
    one.revocations.subscribe((revocation) => seen.push(revocation))
    restore([entry(1, 'a')])
    // The other instance writes at the log's current end, under a number that was read before.
    await other.revocations.revoke({ credentialId: 'x' })
    await settle()
    clock.advance(1000)
    await settle()
    expect(seen.map(({ selector }) => selector)).toEqual([
      { kind: 'user' },
      { kind: 'device' },
      { kind: 'service' },
    ])
    expect(one.logger.lines).toEqual([replaced(3, 2)])
    expect(other.logger.lines).toEqual([replaced(3, 2)])
    seen.length = 0
    await other.revocations.revoke({ credentialId: 'y' })
    await settle()
    expect(seen).toMatchObject([{ sequence: 3, selector: { credentialId: 'y' } }])
  })

  test('an instance that lags behind costs the others one reading of the log, however often it announces', async () => {
    const { one, bus, clock } = await two()
    const before = one.calls.filter((call) => call === 'revocations.since').length
    for (let i = 0; i < 50; i++) {
      bus.announce(2)
      clock.advance(30)
      await settle()
    }
    expect(one.calls.filter((call) => call === 'revocations.since').length - before).toBeLessThanOrEqual(2)
    expect(one.logger.lines).toEqual([])
  })

  test('an instance that starts after the restore reports that others know more than the log', async () => {
    const { bus, instance, restore } = await two()
    restore([entry(1, 'a')])
    const late = instance()
    await settle()
    for (let i = 0; i < 3; i++) {
      bus.announce(3)
      await settle()
    }
    expect(late.logger.lines).toEqual([
      'Another instance has read the log of revocations up to 3, and here it ends at 1: an old copy of the database was put back, or the instances use different ones.',
    ])
  })
})
