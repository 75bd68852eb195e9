import assert from 'node:assert/strict'
import type { TicketRecord } from '../../core/ports/tickets.ts'
import type { Check } from './check.ts'

const at = 1_767_225_600_000
const minute = 60_000

/** Registers what every store of tickets must pass, races included. */
export function ticketContract(check: Check): void {
  check('gives back tickets as they were put in, once each id', async ({ tickets }, fixture) => {
    const other = (await fixture.connect()).tickets
    assert.equal(await tickets.get('t'), undefined)
    assert.equal(await tickets.take('t'), undefined)
    const odd = `'; -- "]]\\ \u0007\n\u{1f510} ${'x'.repeat(600)}`
    const record = ticket('t', { origin: `${odd}\u0000`, principal: { ...ticket('t').principal, id: odd } })
    assert.equal(await tickets.add(record, 2), true)
    assert.equal(await other.add(ticket('t', { digest: 'another' }), 2), false)
    assert.deepEqual(await other.get('t'), record)
    const pageless = ticket('u', { origin: undefined })
    assert.equal(await tickets.add(pageless, 2), true)
    assert.equal((await other.get('u'))?.origin, undefined)
    assert.deepEqual(await other.take('t'), record)
    assert.equal(await tickets.get('t'), undefined)
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
    )
    for (const id of ids) assert.equal(await other.take(id), undefined)
  })

  check('keeps so many tickets of one principal, the newest', async ({ tickets }, fixture) => {
    const other = (await fixture.connect()).tickets
    for (const id of ['a', 'b', 'c']) await tickets.add(ticket(id), 2)
    const { principal } = ticket('d')
    await other.add(ticket('d', { principal: { ...principal, id: 'grace' } }), 2)
    await other.add(ticket('e', { principal: { ...principal, kind: 'service' } }), 2)
    assert.deepEqual(await there(other, ['a', 'b', 'c', 'd', 'e']), ['b', 'c', 'd', 'e'])
    // One that was used up makes room.
    await other.take('c')
    await tickets.add(ticket('f'), 2)
    assert.deepEqual(await there(tickets, ['b', 'f']), ['b', 'f'])
    await Promise.all(Array.from({ length: 12 }, (_, n) => (n % 2 ? tickets : other).add(ticket(`g${n}`), 3)))
    const ids = Array.from({ length: 12 }, (_, n) => `g${n}`)
    assert.equal((await there(tickets, ['b', 'f', ...ids])).length, 3)
  })

  check('forgets tickets that expired, and says how many', async ({ tickets }, fixture) => {
    const other = (await fixture.connect()).tickets
    for (const id of ['a', 'b', 'c']) await tickets.add(ticket(id), 9)
    await tickets.add(ticket('long', { expiresAt: at + 2 * minute }), 9)
    await tickets.take('c')
    assert.equal(await tickets.purge(at + minute - 1, 10), 0)
    assert.deepEqual(
      (await Promise.all([tickets.purge(at + minute, 10), other.purge(at + minute, 10)])).reduce(
        (a, b) => a + b,
      ),
      2,
    )
    assert.deepEqual(await there(other, ['a', 'b', 'c', 'long']), ['long'])
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
