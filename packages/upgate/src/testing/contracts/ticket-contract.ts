import assert from 'node:assert/strict'
import type { TicketRecord } from '../../core/ports/tickets.ts'
import type { Check } from './check.ts'

const at = 1_767_225_600_000
const minute = 60_000

/** Registers what every store of tickets must pass, races included. */
export function ticketContract(check: Check): void {
  check('gives back tickets as they were put in, once each id', async ({ tickets }, fixture) => {
    const other = (await fixture.connect()).tickets
    assert.equal(await tickets.get('t'), undefined, 'an unknown id leads to no ticket')
    assert.equal(await tickets.take('t'), undefined, 'an unknown id cannot be taken')
    const odd = `'; -- "]]\\ \u0007\n\u{1f510} ${'x'.repeat(600)}`
    const record = ticket('t', { origin: `${odd}\u0000`, principal: { ...ticket('t').principal, id: odd } })
    assert.equal(await tickets.add(record, 2), true, 'a new ticket is added')
    assert.equal(
      await other.add(ticket('t', { digest: 'another' }), 2),
      false,
      'an id that is taken is refused',
    )
    assert.deepEqual(await other.get('t'), record, 'the ticket is found by its id, whole')
    const pageless = ticket('u', { origin: undefined })
    assert.equal(await tickets.add(pageless, 2), true, 'a ticket without a page is added')
    assert.equal((await other.get('u'))?.origin, undefined, 'a ticket without a page has no origin')
    assert.deepEqual(await other.take('t'), record, 'the ticket is taken, whole')
    assert.equal(await tickets.get('t'), undefined, 'a ticket that was taken is gone')
  })

  check('consumes each ticket once, whoever is offered it', async ({ tickets }, fixture) => {
    const other = (await fixture.connect()).tickets
    const ids = Array.from({ length: 20 }, (_, n) => `t${n}`)
    for (const id of ids) await tickets.add(ticket(id), 99)
    const taken = await Promise.all(
      ids.flatMap((id) => [tickets.take(id), other.take(id), tickets.take(id), other.take(id)]),
    )
    assert.deepEqual(
      taken.flatMap((record) => (record === undefined ? [] : [record.id])),
      ids,
      'each ticket is taken once',
    )
    for (const id of ids) assert.equal(await other.take(id), undefined, 'a ticket that was taken stays gone')
  })

  check('keeps so many tickets of one principal, the newest', async ({ tickets }, fixture) => {
    const other = (await fixture.connect()).tickets
    for (const id of ['a', 'b', 'c']) await tickets.add(ticket(id), 2)
    const { principal } = ticket('d')
    await other.add(ticket('d', { principal: { ...principal, id: 'grace' } }), 2)
    await other.add(ticket('e', { principal: { ...principal, kind: 'service' } }), 2)
    assert.deepEqual(
      await there(other, ['a', 'b', 'c', 'd', 'e']),
      ['b', 'c', 'd', 'e'],
      'the oldest ones of the principal, by kind and id, are removed',
    )
    // One that was used up makes room.
    await other.take('c')
    await tickets.add(ticket('f'), 2)
    assert.deepEqual(await there(tickets, ['b', 'f']), ['b', 'f'], 'the newest ones stay')
    await Promise.all(Array.from({ length: 12 }, (_, n) => (n % 2 ? tickets : other).add(ticket(`g${n}`), 3)))
    const ids = Array.from({ length: 12 }, (_, n) => `g${n}`)
    assert.equal(
      (await there(tickets, ['b', 'f', ...ids])).length,
      3,
      'no more tickets than allowed are there',
    )
  })

  check('forgets tickets that expired, and says how many', async ({ tickets }, fixture) => {
    const other = (await fixture.connect()).tickets
    for (const id of ['a', 'b', 'c']) await tickets.add(ticket(id), 9)
    await tickets.add(ticket('long', { expiresAt: at + 2 * minute }), 9)
    await tickets.take('c')
    assert.equal(await tickets.purge(at + minute - 1, 10), 0, 'nothing has expired a millisecond before')
    assert.deepEqual(
      (await Promise.all([tickets.purge(at + minute, 10), other.purge(at + minute, 10)])).reduce(
        (a, b) => a + b,
      ),
      2,
      'each expired one is counted once',
    )
    assert.deepEqual(await there(other, ['a', 'b', 'c', 'long']), ['long'], 'the one that counts stays')
  })
}

async function there(
  tickets: { get(id: string): Promise<TicketRecord | undefined> },
  ids: string[],
): Promise<string[]> {
  const found = await Promise.all(ids.map((id) => tickets.get(id)))
  return ids.filter((_, n) => found[n] !== undefined)
}

function ticket(id: string, extra: Partial<TicketRecord> = {}): TicketRecord {
  return {
    id,
    digest: `digest of ${id}`,
    principal: { kind: 'user', id: 'ada', scheme: 'session', sessionId: 's', scopes: ['x'], roles: [] },
    path: '/ws',
    origin: 'https://gateway.example.com',
    sequence: 0,
    createdAt: at,
    expiresAt: at + minute,
    ...extra,
  }
}
