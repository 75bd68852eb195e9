import assert from 'node:assert/strict'
import type { InvitationRecord, PairingRecord, PairingTerms } from '../../core/ports/pairings.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'
import type { Check } from './check.ts'

const at = 1_767_225_600_000
const minute = 60_000
const roomy: PairingTerms = { now: at, atMost: 100, perAddress: 100 }

/** Registers what every store of pairings must pass, races included. */
export function pairingContract(check: Check): void {
  check('gives back pairings and invitations as they were put in', async ({ pairings }) => {
    const limit = { role: 'node', scopes: ['x'] }
    const record = pairing('a', { clientAddress: '192.0.2.1', peerAddress: '127.0.0.1', limit })
    assert.equal((await pairings.request(record, roomy)).outcome, 'added', 'a new request is added')
    assert.deepEqual(
      defined(await pairings.get('a')),
      defined(record),
      'the request is found by its id, whole',
    )
    assert.deepEqual(
      defined(await pairings.bySubject('key:a')),
      defined(record),
      'the request is found by its subject, whole',
    )
    assert.equal(await pairings.get('b'), undefined, 'another id is unknown')
    assert.equal(await pairings.deviceOfKey('a'), undefined, 'no device has the key')
    assert.equal(await pairings.invite(invitation('i')), true, 'a new invitation is added')
    assert.equal(await pairings.invite(invitation('i')), false, 'an id that is taken is refused')
    assert.equal(
      await pairings.invite(invitation('j', { digest: 'digest of i' })),
      false,
      'a digest that is taken is refused',
    )
    assert.deepEqual(
      await pairings.invitation('digest of i', at),
      invitation('i'),
      'the invitation is found by its digest, whole',
    )
    assert.equal(
      await pairings.invitation('digest of i', at + minute),
      undefined,
      'an invitation that is over is not found',
    )
    assert.deepEqual(await pairings.invitations(at), [invitation('i')], 'the invitation is listed')
    assert.equal(await pairings.uninvite('i'), true, 'the invitation is removed')
    assert.equal(await pairings.uninvite('i'), false, 'it is removed once')
  })

  check('keeps when a device asked last; of that write and a decision one counts', async (store, fixture) => {
    const other = await fixture.connect()
    await store.pairings.request(pairing('a'), roomy)
    const asked = pairing('a', { version: 2, askedAt: at + 15_000 })
    assert.equal(await store.pairings.replace(asked), true, 'the next version is written')
    assert.deepEqual(
      defined(await other.pairings.get('a')),
      defined(asked),
      'the write is read by another connection',
    )
    assert.deepEqual(
      (await other.pairings.list('pending')).map(defined),
      [defined(asked)],
      'the list holds the write',
    )
    const won = await Promise.all([
      store.pairings.replace({ ...asked, version: 3, askedAt: at + 30_000 }),
      other.pairings.replace({ ...asked, version: 3, state: 'approved' }),
    ])
    assert.deepEqual([...won].sort(), [false, true], 'of two writes of one version, one counts')
    const left = await store.pairings.get('a')
    assert.equal(left?.state, won[1] ? 'approved' : 'pending', 'the state is that of the write that counts')
    assert.equal(
      left?.askedAt,
      won[1] ? at + 15_000 : at + 30_000,
      'the time is that of the write that counts',
    )
  })

  check('keeps one request per subject, and takes another once it is over', async ({ pairings }) => {
    await pairings.request(pairing('a'), roomy)
    const again = await pairings.request(pairing('b', { subject: 'key:a' }), roomy)
    assert.equal(
      again.outcome === 'existing' && again.record.id,
      'a',
      'a subject with an open request gets that one',
    )
    const later = { ...roomy, now: at + minute }
    const renewed = pairing('c', { subject: 'key:a', expiresAt: at + 2 * minute })
    assert.equal(
      (await pairings.request(renewed, later)).outcome,
      'added',
      'a request that is over makes room',
    )
    assert.equal(await pairings.get('a'), undefined, 'its id is unknown from then on')
  })

  check('counts quotas apart, and uses up no code for what is refused', async ({ pairings }) => {
    await pairings.invite(invitation('i'))
    const terms = { ...roomy, atMost: 1, code: 'digest of i' }
    await pairings.request(pairing('a'), roomy)
    assert.equal(
      (await pairings.request(pairing('b'), terms)).outcome,
      'full',
      'the quota of invited ones is full',
    )
    assert.equal(
      (await pairings.request(pairing('c', { quota: 'open' }), { ...roomy, atMost: 1 })).outcome,
      'added',
      'the quota of open ones is another one',
    )
    const address = { clientAddress: '192.0.2.1' }
    await pairings.request(pairing('d', address), roomy)
    assert.equal(
      (await pairings.request(pairing('e', address), { ...roomy, perAddress: 1 })).outcome,
      'full',
      'the address has as many as it may',
    )
    assert.equal(
      (await pairings.request(pairing('b'), { ...terms, atMost: 9 })).outcome,
      'added',
      'the code was not used up by the refusal',
    )
    assert.equal(
      (await pairings.request(pairing('f'), { ...terms, atMost: 9 })).outcome,
      'no_invitation',
      'the code is used up now',
    )
    assert.equal(
      (await pairings.request(pairing('f'), { ...terms, atMost: 0 })).outcome,
      'no_invitation',
      'an unknown code is told before a full quota',
    )
    assert.equal(
      (await pairings.request(pairing('a', { id: 'g' }), { ...terms, atMost: 0 })).outcome,
      'existing',
      'an existing request is answered before all else',
    )
  })

  check('lets one of many use a code, fill a quota, or be a subject', async ({ pairings }, fixture) => {
    const other = (await fixture.connect()).pairings
    await pairings.invite(invitation('i'))
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const race = (prefix: string, terms: PairingTerms, extra: (id: string) => Partial<PairingRecord>) =>
      Promise.all(
        names.map(async (name, i) => {
          const id = prefix + name
          return (await (i % 2 === 0 ? pairings : other).request(pairing(id, extra(id)), terms)).outcome
        }),
      )
    const coded = await race('code', { ...roomy, code: 'digest of i' }, () => ({}))
    assert.equal(coded.filter((outcome) => outcome === 'added').length, 1, 'one of many uses the code')
    const counted = await race('open', { ...roomy, atMost: 2 }, () => ({ quota: 'open' }))
    assert.equal(counted.filter((outcome) => outcome === 'added').length, 2, 'two of many fit into the quota')
    const same = await race('same', roomy, () => ({ subject: 'key:same' }))
    assert.deepEqual(
      [...same].sort(),
      ['added', ...Array(5).fill('existing')],
      "one of many is the subject's request",
    )
  })

  check('compares and sets pairings; one collects, with device and key at once', async (store, fixture) => {
    const other = await fixture.connect()
    await store.pairings.request(pairing('a'), roomy)
    const approved = pairing('a', { version: 2, state: 'approved' })
    const decided = await Promise.all([
      store.pairings.replace(approved),
      other.pairings.replace({ ...approved, state: 'rejected' }),
    ])
    assert.deepEqual([...decided].sort(), [false, true], 'one of two decisions counts')
    const collected = pairing('a', { version: 3, state: 'collected' })
    const won = await Promise.all([
      store.pairings.collect(collected, device('one'), 'k'),
      other.pairings.collect(collected, device('two'), 'k'),
      other.pairings.collect(collected, device('three'), undefined),
    ])
    assert.equal(won.filter(Boolean).length, 1, 'one of three collects')
    const devices = await store.devices.list()
    assert.equal(devices.length, 1, 'one device was made')
    if (won[0] || won[1])
      assert.equal(
        await store.pairings.deviceOfKey('k'),
        devices[0]?.id,
        'the key leads to the device that was made with it',
      )
    await store.pairings.request(pairing('b'), roomy)
    assert.equal(
      await store.pairings.collect(pairing('b', { version: 2 }), device('new'), 'k'),
      true,
      'a later request of another subject collects',
    )
    assert.equal(await other.pairings.deviceOfKey('k'), 'new', 'the key leads to the newer device')
  })

  check(
    'gives a key to a device that was not changed meanwhile, if its holder is the expected one',
    async (store) => {
      const { devices, pairings } = store
      for (const id of ['d', 'e']) await devices.add(device(id))
      await devices.touch([{ id: 'd', at: at + 5 }])
      const bound = { ...device('d'), version: 2, keyId: 'k', keyToken: 'digest of d', stated: 'about d' }
      assert.equal(await pairings.bindKey({ ...bound, version: 3 }, 'k', undefined), false)
      assert.equal(await pairings.bindKey({ ...bound, id: 'none' }, 'k', undefined), false)
      assert.equal(await pairings.bindKey(bound, 'k', 'd'), false)
      assert.equal(await pairings.deviceOfKey('k'), undefined)
      assert.equal((await devices.get('d'))?.keyId, undefined)
      assert.equal(await pairings.bindKey(bound, 'k', undefined), true)
      assert.equal(await pairings.deviceOfKey('k'), 'd')
      assert.deepEqual(defined(await devices.get('d')), { ...bound, lastUsedAt: at + 5 })
      // Another device takes it over only from the holder that it expects, and all or nothing is written.
      const taken = { ...device('e'), version: 2, keyId: 'k', keyToken: 'digest of e' }
      assert.equal(await pairings.bindKey(taken, 'k', undefined), false)
      assert.equal(await pairings.bindKey({ ...taken, version: 9 }, 'k', 'd'), false)
      assert.equal(await pairings.deviceOfKey('k'), 'd')
      assert.equal((await devices.get('e'))?.version, 1)
      assert.equal(await pairings.bindKey(taken, 'k', 'd'), true)
      assert.equal(await pairings.deviceOfKey('k'), 'e')
    },
  )

  check('lets one of many bind a key to a device, or a device to a key', async (store, fixture) => {
    const other = await fixture.connect()
    const connections = [store, other, store, other]
    const ids = ['d', 'e', 'f', 'g']
    for (const id of ids) await store.devices.add(device(id))
    const toOne = await Promise.all(
      connections.map(({ pairings }, i) =>
        pairings.bindKey({ ...device('d'), version: 2, keyId: `k${i}` }, `k${i}`, undefined),
      ),
    )
    assert.equal(toOne.filter(Boolean).length, 1)
    assert.equal((await other.devices.get('d'))?.keyId, `k${toOne.indexOf(true)}`)
    for (let i = 0; i < 4; i++) {
      assert.equal(await store.pairings.deviceOfKey(`k${i}`), toOne[i] ? 'd' : undefined)
    }
    const ofOne = await Promise.all(
      connections.map(({ pairings }, i) =>
        pairings.bindKey(
          { ...device(ids[i] as string), version: i === 0 ? 3 : 2, keyId: 'k' },
          'k',
          undefined,
        ),
      ),
    )
    assert.equal(ofOne.filter(Boolean).length, 1)
    assert.equal(await other.pairings.deviceOfKey('k'), ids[ofOne.indexOf(true)])
    assert.equal((await store.devices.list()).filter(({ keyId }) => keyId === 'k').length, 1)
  })

  check('expires each request once, and forgets', async ({ pairings }, fixture) => {
    const other = (await fixture.connect()).pairings
    for (const id of ['a', 'b']) await pairings.request(pairing(id), roomy)
    await pairings.request(pairing('c', { expiresAt: at + 5 * minute }), roomy)
    await pairings.invite(invitation('i'))
    assert.deepEqual(
      await pairings.expire(at + minute - 1, at),
      [],
      'nothing is overdue a millisecond before',
    )
    const over = await Promise.all([pairings.expire(at + minute, at), other.expire(at + minute, at)])
    assert.deepEqual(
      over
        .flat()
        .map(({ id, state, version }) => [id, state, version])
        .sort(),
      [
        ['a', 'expired', 2],
        ['b', 'expired', 2],
      ],
      'each is marked by one caller, with the next version',
    )
    assert.deepEqual(
      (await pairings.list('pending')).map(({ id }) => id),
      ['c'],
      'the overdue ones are pending no longer',
    )
    assert.equal(await pairings.uninvite('i'), false, 'the invitation that is over is gone')
    assert.equal((await pairings.get('a'))?.state, 'expired', 'the request is known as expired')
    await pairings.expire(at + 2 * minute, at + minute)
    assert.equal(await pairings.get('a'), undefined, 'it is forgotten later')
  })
}

function pairing(id: string, extra: Partial<PairingRecord> = {}): PairingRecord {
  return {
    id,
    version: 1,
    subject: `key:${id}`,
    state: 'pending',
    quota: 'invited',
    introduction: 'code',
    name: 'kitchen',
    role: 'node',
    scopes: ['node.run'],
    createdAt: at,
    expiresAt: at + minute,
    ...extra,
  }
}

function invitation(id: string, extra: Partial<InvitationRecord> = {}): InvitationRecord {
  const digest = `digest of ${id}`
  const times = { createdAt: at, expiresAt: at + minute }
  return { id, kind: 'code', digest, role: 'node', scopes: ['x'], createdBy: 'ada', ...times, ...extra }
}

function device(id: string): TokenRecord {
  return { id, version: 1, digest: `digest of ${id}`, name: id, scopes: [], roles: ['node'], createdAt: at }
}

/** Without undefined values: a database does not tell them from absent ones. */
function defined(record: object | undefined): object | undefined {
  return record && Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}
