/* Tables in the shapes that attackers and large customers give them: one principal with all credentials and sockets, one
   address with all places of a full quarantine, an IPv6 network of many addresses. Work is counted, not timed; the bound is
   between 4 and 16. */
import { expect, it } from 'vitest'
import type { Principal } from '../../src/core/contract/principal.ts'
import type { SessionRecord } from '../../src/core/ports/stores.ts'
import type { Limits } from '../../src/ws/limits/limits.ts'
import type { Occupant } from '../../src/ws/limits/room.ts'
import { growth } from './work.ts'

const { createConnections } = await import('../../src/core/live/connections.ts')
const { RevocationWindow } = await import('../../src/core/live/revocation-window.ts')
const { memoryStore } = await import('../../src/stores/memory/memory.ts')
const { manualClock } = await import('../../src/testing/manual-clock.ts')
const { Addresses } = await import('../../src/ws/limits/addresses.ts')
const { Room } = await import('../../src/ws/limits/room.ts')

function register(n: number, idOf: (i: number) => string) {
  const window = new RevocationWindow()
  const connections = createConnections({ clock: manualClock(), window })
  const removals = Array.from({ length: n }, (_, i) => {
    const principal: Principal = {
      kind: 'device',
      id: idOf(i),
      scheme: 'device-token',
      scopes: [],
      roles: [],
      attributes: {},
      credentialId: `credential-${i}`,
      expiresAt: 10 ** 13 + ((i * 7_919) % n),
    }
    const connection = { id: `c${i}`, acceptedAt: 0, path: '/ws', principal, close() {} }
    const registered = connections.register(connection, window.now())
    if (registered.outcome === 'refused') throw new Error(registered.reason)
    return registered.remove
  })
  return { connections, removals }
}

it.each([
  ['one principal', () => 'tenant'],
  ['a principal each', (i: number) => `tenant-${i}`],
] as const)('registers and removes sockets of %s', (_, idOf) => {
  const run = (n: number) => () => {
    for (const remove of register(n, idOf).removals) remove()
  }
  expect(growth(run, 500)).toBeLessThan(6)
})

it('closes the sockets of one principal, credential by credential', () => {
  const run = (n: number) => {
    const { connections } = register(n, () => 'tenant')
    return () => {
      for (let i = 0; i < n; i++) connections.close({ credentialId: `credential-${i}` }, 'revoked')
      expect(connections.size).toBe(0)
    }
  }
  expect(growth(run, 500)).toBeLessThan(6)
})

it.each([
  ['one IPv4 address', () => '203.0.113.7'],
  ['an IPv4 address each', (i: number) => `203.${i >> 16}.${(i >> 8) & 255}.${i & 255}`],
  ['a /48 of IPv6', (i: number) => `2001:db8:1:${i.toString(16)}::1`],
  ['an IPv6 network each', (i: number) => `2001:db8:${i.toString(16)}::1`],
] as const)('a full quarantine of %s: each newcomer displaces a socket', (_, addressOf) => {
  const run = (n: number) => {
    const clock = manualClock()
    const addresses = new Addresses(clock)
    const room = new Room<Occupant>({ maxSockets: n, reservedShare: 0.25, pressureShare: 0.5 } as Limits)
    let displaced = 0
    const enter = (i: number): void => {
      const occupant: Occupant = {
        bucket: addresses.of(addressOf(i)),
        acquainted: false,
        underWay: false,
        place: 0,
        dismiss: () => {},
        evict() {
          displaced++
          room.release(occupant)
          addresses.add(occupant.bucket, 'sockets', -1)
        },
      }
      room.make(false, false)
      room.take(occupant)
      room.waits(occupant)
      addresses.add(occupant.bucket, 'sockets', 1)
    }
    for (let i = 0; i < n; i++) enter(i)
    return () => {
      for (let i = n; i < 2 * n; i++) enter(i)
      expect(displaced).toBeGreaterThanOrEqual(n)
    }
  }
  expect(growth(run, 500)).toBeLessThan(6)
})

it.each([
  ['one account', () => 'tenant'],
  ['an account each', (i: number) => `tenant-${i}`],
] as const)('keeps sessions of %s in memory', (_, accountOf) => {
  const run = (n: number) => () => {
    const { sessions } = memoryStore()
    // Each is done when its call returns.
    for (let i = 0; i < n; i++) void sessions.add(sessionOf(i, accountOf(i)), n)
    for (let i = 0; i < n; i++) void sessions.add(sessionOf(n + i, accountOf(i)), n)
  }
  expect(growth(run, 200)).toBeLessThan(6)
})

function sessionOf(i: number, accountId: string): SessionRecord {
  return {
    id: `s${i}`,
    digest: `d${i}`,
    accountId,
    generation: 1,
    createdAt: i,
    lastSeenAt: i,
    expiresAt: 10 ** 13,
  }
}
