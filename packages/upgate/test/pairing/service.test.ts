// Pairing as a service: rights of actors, races between two instances over one store, quotas, expiry.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type AuditEvent,
  createServices,
  deviceKey,
  memoryStore,
  type PairingOptions,
  type Principal,
  type Store,
} from 'upgate'
import { sqliteStore } from 'upgate/sql'
import { manualClock } from 'upgate/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { admin, credentialOf, DeviceIdentity, type Wish } from './stage.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

const places: readonly (readonly [string, () => Promise<Store[]>])[] = [
  [
    'memory',
    async () => {
      const store = memoryStore()
      return [store, store]
    },
  ],
  [
    'SQLite',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'upgate-pairing-'))
      open.push(() => rm(folder, { recursive: true }))
      const stores = [
        await sqliteStore({ file: join(folder, 'a.db') }),
        await sqliteStore({ file: join(folder, 'a.db') }),
      ]
      for (const store of stores) open.push(() => store.close())
      return stores
    },
  ],
]

/** Two instances over one store, with one clock. */
async function instances(make = places[0]?.[1], pairing: PairingOptions = {}) {
  const clock = manualClock()
  const stores = (await make?.()) as Store[]
  const all = stores.map((store) => {
    const services = createServices({ store, clock, pairing, limits: { logInterval: 0 } })
    open.push(() => services.close())
    const scheme = deviceKey({ pairing: services.pairing, devices: services.devices })
    const events: AuditEvent[] = []
    services.pairing.events.subscribe((event) => events.push(event))
    const prove = async (device: DeviceIdentity, wish: Wish = {}, clientAddress?: string) => {
      const context = { clientAddress, dryRun: false, path: '/ws', origin: undefined }
      return scheme.verify(credentialOf(device, clock.now(), wish), context)
    }
    return {
      ...services,
      events,
      prove,
      async knock(device: DeviceIdentity, wish: Wish = {}, clientAddress?: string) {
        const answer = await prove(device, wish, clientAddress)
        return answer.outcome === 'authenticated' && answer.issue !== undefined ? answer.issue() : answer
      },
    }
  })
  return { clock, one: all[0] as (typeof all)[0], two: all[1] as (typeof all)[0] }
}

type Instance = Awaited<ReturnType<typeof instances>>['one']

async function code(
  { pairing }: Instance,
  scopes: readonly string[] = ['node.run'],
  actor = admin(),
): Promise<string> {
  const made = await pairing.bootstrap.create({ actor, scopes })
  if (made.outcome !== 'done') throw new Error(made.reason)
  return made.code
}

async function request(instance: Instance, device: DeviceIdentity, wish: Wish = {}): Promise<string> {
  const answer = await instance.knock(device, { token: await code(instance), ...wish })
  if (answer.outcome !== 'rejected' || answer.code !== 'pairing_required')
    throw new Error(JSON.stringify(answer))
  return answer.details?.requestId as string
}

const codesOf = (answers: readonly { readonly outcome: string; readonly code?: string }[]): string[] =>
  answers.map((answer) => answer.code ?? answer.outcome).sort()

describe.each(places)('over %s', (_, make) => {
  // Of two requests under one name, one of a device that was gone, the wrong one was approved.
  test('a request says when its device asked last, and a decision never fails for it', async () => {
    const { clock, one, two } = await instances(make)
    const gone = await request(one, new DeviceIdentity(), { name: 'kitchen' })
    const device = new DeviceIdentity()
    const id = await request(one, device, { name: 'kitchen' })
    const start = clock.now()
    const askedAt = async () => (await two.pairing.get(id))?.askedAt
    expect(await askedAt()).toBe(start)

    clock.advance(9_000)
    await two.knock(device)
    expect(await askedAt()).toBe(start)
    clock.advance(6_000)
    await two.knock(device)
    expect(await askedAt()).toBe(start + 15_000)
    expect((await one.pairing.pending()).map((each) => [each.id, each.askedAt])).toEqual([
      [gone, start],
      [id, start + 15_000],
    ])

    clock.advance(15_000)
    const [decided] = await Promise.all([
      one.pairing.approve(id, { actor: admin() }),
      ...Array.from({ length: 5 }, (_, i) => (i % 2 === 0 ? one : two).prove(device)),
    ])
    expect(decided).toMatchObject({ outcome: 'done', request: { state: 'approved' } })
    const seen = await askedAt()
    clock.advance(15_000)
    // What waits for its collection does not write any more.
    await one.prove(device)
    expect(await askedAt()).toBe(seen)
    expect((await one.knock(device)).outcome).toBe('authenticated')
    expect(await one.pairing.get(id)).toMatchObject({ state: 'collected', expiresAt: expect.any(Number) })
  })

  test('a dry run does not count as asking', async () => {
    const { clock, one } = await instances(make)
    const device = new DeviceIdentity()
    const id = await request(one, device)
    const start = clock.now()
    clock.advance(30_000)
    const scheme = deviceKey({ pairing: one.pairing, devices: one.devices })
    const context = { clientAddress: undefined, dryRun: true, path: '/ws', origin: undefined }
    await scheme.verify(credentialOf(device, clock.now()), context)
    expect((await one.pairing.get(id))?.askedAt).toBe(start)
  })

  test('events of requests name the device, its code and its key', async () => {
    const { one } = await instances(make)
    const device = new DeviceIdentity()
    const id = await request(one, device, { name: 'kitchen' })
    const { comparisonCode } = (await one.pairing.get(id)) ?? {}
    await one.pairing.approve(id, { actor: admin(), name: 'Kitchen' })
    await one.knock(device)
    const about = one.events.flatMap((event) =>
      event.type === 'pairing' && event.subjectId === id
        ? [[event.step, event.name, event.comparisonCode, event.keyId]]
        : [],
    )
    expect(about).toEqual([
      ['requested', 'kitchen', comparisonCode, device.id],
      ['approved', 'Kitchen', comparisonCode, device.id],
      ['collected', 'Kitchen', comparisonCode, device.id],
    ])
  })

  test('of two concurrent approvals on two instances, one wins', async () => {
    const { one, two } = await instances(make)
    const id = await request(one, new DeviceIdentity())
    const answers = await Promise.all([
      one.pairing.approve(id, { actor: admin() }),
      two.pairing.approve(id, { actor: admin({ id: 'grace' }) }),
    ])
    expect(codesOf(answers)).toEqual(['already_decided', 'done'])
    const winner = answers.find((answer) => answer.outcome === 'done')
    expect(await one.pairing.get(id)).toMatchObject({
      decidedBy: winner?.outcome === 'done' && winner.request.decidedBy,
    })
  })

  test('approving and rejecting at once leaves one decision', async () => {
    const { one, two } = await instances(make)
    for (let i = 0; i < 5; i++) {
      const id = await request(one, new DeviceIdentity())
      const [approved, rejected] = await Promise.all([
        one.pairing.approve(id, { actor: admin() }),
        two.pairing.reject(id, { actor: admin() }),
      ])
      // An approval that was not collected yet may still be rejected.
      expect((await one.pairing.get(id))?.state).toBe(rejected.outcome === 'done' ? 'rejected' : 'approved')
      expect([approved.outcome, rejected.outcome]).toContain('done')
    }
  })

  test('of two concurrent collections one gets the token, and one device exists', async () => {
    const { one, two } = await instances(make)
    const device = new DeviceIdentity()
    await one.pairing.approve(await request(one, device), { actor: admin() })
    const answers = await Promise.all([
      one.knock(device),
      two.knock(device),
      one.knock(device),
      two.knock(device),
    ])
    const tokens = answers.map((answer) => answer.outcome === 'authenticated' && answer.issued?.deviceToken)
    expect(answers.map(({ outcome }) => outcome)).toEqual(Array(4).fill('authenticated'))
    expect(tokens.filter(Boolean)).toHaveLength(1)
    expect(await two.devices.list()).toHaveLength(1)
    const answer = await two.devices.verify(tokens.find(Boolean) as string)
    expect(answer).toMatchObject({
      outcome: 'authenticated',
      principal: { scopes: ['node.run'], roles: ['node'] },
    })
  })

  test('a code lets one device ask, and one key has one request, even concurrently', async () => {
    const { one, two } = await instances(make)
    const token = await code(one)
    const devices = Array.from({ length: 4 }, () => new DeviceIdentity())
    const answers = await Promise.all(
      devices.map((device, i) => (i % 2 ? one : two).knock(device, { token })),
    )
    expect(codesOf(answers)).toEqual([
      'invalid_credential',
      'invalid_credential',
      'invalid_credential',
      'pairing_required',
    ])
    const device = new DeviceIdentity()
    const codes = await Promise.all([code(one), code(one)])
    const same = await Promise.all([
      one.knock(device, { token: codes[0] as string }),
      two.knock(device, { token: codes[1] as string }),
    ])
    expect(codesOf(same)).toEqual(['pairing_required', 'pairing_required'])
    expect(
      new Set(same.map((answer) => answer.outcome === 'rejected' && answer.details?.requestId)).size,
    ).toBe(1)
    expect(await two.pairing.pending()).toHaveLength(2)
  })

  test('requests expire once, on whichever instance removes them', async () => {
    const { one, two, clock } = await instances(make)
    const device = new DeviceIdentity()
    const id = await request(one, device)
    clock.advance(299_999)
    expect(await two.pairing.pending()).toHaveLength(1)
    clock.advance(1)
    const [first, second] = await Promise.all([one.pairing.pending(), two.pairing.pending()])
    expect([first, second]).toEqual([[], []])
    await expect
      .poll(() => [...one.events, ...two.events].filter((e) => 'step' in e && e.step === 'expired'))
      .toHaveLength(1)
    expect(await one.pairing.approve(id, { actor: admin() })).toMatchObject({
      code: 'request_expired',
      reason: 'The pairing request has expired; let the device connect again.',
    })
    expect(codesOf([await one.knock(device)])).toEqual(['unknown_identity'])
    clock.advance(700_000)
    await one.pairing.pending()
    expect(await one.pairing.approve(id, { actor: admin() })).toMatchObject({ code: 'unknown_request' })
  })

  test('an approved request is collected in time or not at all', async () => {
    const { one, clock } = await instances(make)
    const device = new DeviceIdentity()
    const id = await request(one, device)
    clock.advance(299_000)
    await one.pairing.approve(id, { actor: admin() })
    clock.advance(299_000)
    const other = new DeviceIdentity()
    await one.pairing.approve(await request(one, other), { actor: admin() })
    clock.advance(1_000)
    expect(codesOf([await one.knock(device)])).toEqual(['unknown_identity'])
    expect((await one.knock(other)).outcome).toBe('authenticated')
    expect(await one.devices.list()).toHaveLength(1)
  })

  test('an approval that ends between the proof and its collection is not collected', async () => {
    const { one, clock } = await instances(make)
    const device = new DeviceIdentity()
    await one.pairing.approve(await request(one, device), { actor: admin() })
    const proved = await one.prove(device)
    clock.advance(300_000)
    const answer = proved.outcome === 'authenticated' ? await proved.issue?.() : proved
    expect(answer).toMatchObject({ code: 'expired_credential', details: { pairing: 'request_expired' } })
    expect(await one.devices.list()).toEqual([])
  })

  test('the store holds no part of a code or of a claim secret', async () => {
    const { one } = await instances(make)
    const token = await code(one)
    const invitations = await one.pairing.bootstrap.list()
    expect(invitations).toMatchObject([
      { kind: 'code', role: 'node', scopes: ['node.run'], createdBy: 'ada' },
    ])
    const plain = token.replaceAll('-', '')
    expect(JSON.stringify(invitations)).not.toContain(plain)
    expect(await one.knock(new DeviceIdentity(), { token: ` ${token.toLowerCase()} ` })).toMatchObject({
      code: 'pairing_required',
    })
  })
})

describe('an actor cannot grant rights that it does not hold (section 4 items 3, 10 and 11)', () => {
  const reader = admin({ id: 'reader', scopes: ['node.run'], roles: [] })

  test('approval beyond the approver is refused, and the request keeps waiting', async () => {
    const { one } = await instances(undefined, { roles: { node: [], operator: ['operator.admin'] } })
    const id = await request(one, new DeviceIdentity())
    expect(await one.pairing.approve(id, { actor: admin({ scopes: [] }) })).toEqual({
      outcome: 'refused',
      code: 'scope_not_held',
      reason: 'You cannot grant what you do not hold: node.run.',
    })
    expect(await one.pairing.approve(id, { actor: reader, scopes: ['operator.admin'] })).toMatchObject({
      code: 'beyond_invitation',
    })
    expect(await one.pairing.approve(id, { actor: reader })).toMatchObject({ outcome: 'done' })
  })

  test('a code is bound to its role and scopes, and to the rights of its creator', async () => {
    const { one } = await instances(undefined, { roles: { node: [], operator: ['operator.admin'] } })
    expect(await one.pairing.bootstrap.create({ actor: reader, scopes: ['operator.admin'] })).toMatchObject({
      code: 'scope_not_held',
    })
    expect(await one.pairing.bootstrap.create({ actor: reader, role: 'operator' })).toMatchObject({
      code: 'role_not_grantable',
      reason: 'To grant the role operator you need: operator.admin.',
    })
    expect(await one.pairing.bootstrap.create({ actor: admin(), role: 'root' })).toMatchObject({
      code: 'role_not_grantable',
    })
    expect(await one.pairing.openWindow({ actor: reader, scopes: ['operator.admin'] })).toMatchObject({
      code: 'scope_not_held',
    })
    const device = new DeviceIdentity()
    const id = await request(one, device, { role: 'operator' })
    expect(await one.pairing.approve(id, { actor: admin() })).toMatchObject({ code: 'beyond_invitation' })
    expect(await one.pairing.approve(id, { actor: { unbounded: 'cli' }, role: 'operator' })).toMatchObject({
      code: 'beyond_invitation',
    })
    expect(await one.pairing.approve(id, { actor: admin(), role: 'node' })).toMatchObject({ outcome: 'done' })
  })

  test('a device cannot introduce devices, a person can', async () => {
    const { one } = await instances()
    const scheme = deviceKey({ pairing: one.pairing, devices: one.devices })
    const at = manualClock().now()
    for (const [kind, code] of [
      ['device', 'unknown_identity'],
      ['user', 'pairing_required'],
    ] as const) {
      const context = { clientAddress: undefined, dryRun: false, path: '/ws', origin: undefined }
      const httpPrincipal = admin({ kind })
      const answer = await scheme.verify(credentialOf(new DeviceIdentity(), at), {
        ...context,
        httpPrincipal,
      })
      expect(answer).toMatchObject({ code })
    }
  })

  test('a device decides about no request, and with `actorScope` only its holders decide', async () => {
    const device: Principal = admin({ kind: 'device', id: 'd', roles: ['node'] })
    const { one } = await instances()
    const id = await request(one, new DeviceIdentity())
    for (const answer of [
      await one.pairing.approve(id, { actor: device }),
      await one.pairing.reject(id, { actor: device }),
      await one.pairing.bootstrap.create({ actor: device }),
      await one.pairing.openWindow({ actor: device }),
    ]) {
      expect(answer).toMatchObject({ outcome: 'refused', code: 'actor_not_allowed' })
    }
    const { one: scoped } = await instances(undefined, { actorScope: 'operator.pairing' })
    expect(await scoped.pairing.bootstrap.create({ actor: admin() })).toMatchObject({
      code: 'actor_not_allowed',
    })
    const pairer = admin({ scopes: ['operator.pairing'] })
    expect(await scoped.pairing.bootstrap.create({ actor: pairer })).toMatchObject({ outcome: 'done' })
  })
})

describe('bounds', () => {
  test('anonymous requests fill their own quota, and leave room for those with a code', async () => {
    const { one, clock } = await instances(undefined, {
      dangerouslyAllowAnonymous: true,
      maxOpen: 3,
      maxInvited: 2,
    })
    for (let i = 0; i < 3; i++)
      expect(codesOf([await one.knock(new DeviceIdentity())])).toEqual(['pairing_required'])
    expect(await one.knock(new DeviceIdentity())).toMatchObject({ code: 'pairing_full', retryAfter: 30 })
    await request(one, new DeviceIdentity())
    await request(one, new DeviceIdentity())
    const token = await code(one)
    const device = new DeviceIdentity()
    expect(codesOf([await one.knock(device, { token })])).toEqual(['pairing_full'])
    clock.advance(300_000)
    // The refusal did not use the code up.
    expect(codesOf([await one.knock(device, { token })])).toEqual(['pairing_required'])
  })

  test('one address cannot fill the whole quota', async () => {
    const { one } = await instances(undefined, { dangerouslyAllowAnonymous: true, maxPerAddress: 2 })
    const answers = []
    for (let i = 0; i < 3; i++) answers.push(await one.knock(new DeviceIdentity(), {}, '192.0.2.1'))
    answers.push(await one.knock(new DeviceIdentity(), {}, '192.0.2.2'))
    expect(answers.map((answer) => answer.outcome === 'rejected' && answer.code)).toEqual([
      'pairing_required',
      'pairing_required',
      'pairing_full',
      'pairing_required',
    ])
  })

  test('codes expire after ten minutes, are revoked at once, and guesses are counted', async () => {
    const { one, clock } = await instances()
    const [first, second] = [await code(one), await code(one)]
    const [invitation] = await one.pairing.bootstrap.list()
    expect(await one.pairing.bootstrap.revoke(invitation?.id as string, { actor: admin() })).toBe(true)
    expect(codesOf([await one.knock(new DeviceIdentity(), { token: first })])).toEqual(['invalid_credential'])
    clock.advance(600_000)
    expect(codesOf([await one.knock(new DeviceIdentity(), { token: second })])).toEqual([
      'invalid_credential',
    ])
    const token = await code(one)
    for (let i = 0; i < 10; i++)
      await one.knock(new DeviceIdentity(), { token: 'AAAA-BBBB-CCCC' }, '192.0.2.1')
    expect(await one.knock(new DeviceIdentity(), { token }, '192.0.2.1')).toMatchObject({
      outcome: 'throttled',
    })
    expect(codesOf([await one.knock(new DeviceIdentity(), { token }, '192.0.2.2')])).toEqual([
      'pairing_required',
    ])
  })

  test('a name cannot break a page, and invalid roles and scopes are refused', async () => {
    const { one } = await instances(undefined, { dangerouslyAllowAnonymous: true })
    await one.knock(new DeviceIdentity(), { name: ` kit\u0000ch\u202een\n ${'x'.repeat(500)}` })
    await one.knock(new DeviceIdentity(), { name: '\u200b' })
    const names = (await one.pairing.pending()).map(({ name }) => name)
    expect(names[0]).toMatch(/^kitchen x+$/)
    expect(names[0]?.length).toBeLessThanOrEqual(50)
    expect(names[1]).toBe('unnamed device')
    expect(codesOf([await one.knock(new DeviceIdentity(), { scopes: ['a b'] })])).toEqual([
      'invalid_credential',
    ])
  })

  test('wrong options throw and name the remedy', () => {
    const make = (pairing: object) => () => createServices({ store: memoryStore(), pairing })
    expect(make({ maxOpn: 1 })).toThrow('unknown option `maxOpn`')
    expect(make({ maxOpen: 0 })).toThrow(
      'createServices: `pairing.maxOpen` must be a whole number from 1 to 10,000, not 0.',
    )
    expect(make({ roles: { 'a b': [] } })).toThrow('`roles` must be names')
    expect(() => deviceKey({} as never)).toThrow('deviceKey: `pairing` is missing')
  })

  test('a store that cannot answer is never "not paired"', async () => {
    const store = memoryStore()
    const services = createServices({ store, clock: manualClock(), limits: { logInterval: 0 } })
    const scheme = deviceKey({ pairing: services.pairing, devices: services.devices })
    await services.revocations.sync()
    await store.close()
    const context = { clientAddress: undefined, dryRun: false, path: '/ws', origin: undefined }
    const at = manualClock().now()
    expect(await scheme.verify(credentialOf(new DeviceIdentity(), at), context)).toMatchObject({
      outcome: 'unavailable',
    })
    await services.close()
  })
})
