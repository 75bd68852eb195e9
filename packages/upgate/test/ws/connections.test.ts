import { describe, expect, it, vi } from 'vitest'
import type { LiveConnection } from '../../src/core/contract/connections.ts'
import type { Principal } from '../../src/core/contract/principal.ts'
import { createConnections } from '../../src/core/live/connections.ts'
import { RevocationWindow } from '../../src/core/live/revocation-window.ts'
import type { Clock } from '../../src/core/ports/clock.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'

let counter = 0

function connection(
  principal: Partial<Principal>,
  close = vi.fn(),
): LiveConnection & { close: typeof close } {
  return {
    id: `c${++counter}`,
    acceptedAt: 0,
    path: '/ws',
    principal: {
      kind: 'device',
      id: 'node-1',
      scheme: 'device-token',
      scopes: [],
      roles: [],
      attributes: {},
      ...principal,
    },
    close,
  }
}

/** A register, and its window: `add` registers as of now and returns the removal. */
function registerOn(clock: Clock) {
  const window = new RevocationWindow()
  const connections = createConnections({ clock, window })
  const add = (connection: LiveConnection): (() => void) => {
    const registration = connections.register(connection, window.now())
    if (registration.outcome === 'refused') throw new Error(`refused: ${registration.reason}`)
    return registration.remove
  }
  return Object.assign(connections, { add, window })
}

describe('the register of live connections', () => {
  it('closes by credential, session, principal and kind, and nothing else', () => {
    const connections = registerOn(manualClock())
    const a = connection({ id: 'a', credentialId: 'k1' })
    const a2 = connection({ id: 'a', credentialId: 'k2' })
    const b = connection({ id: 'b', sessionId: 's1', kind: 'user' })
    for (const each of [a, a2, b]) connections.add(each)
    expect(connections.close({ credentialId: 'k1' }, 'revoked')).toBe(1)
    expect(a.close).toHaveBeenCalledWith('revoked')
    expect(a2.close).not.toHaveBeenCalled()
    expect(connections.close({ credentialId: 'k1' }, 'revoked')).toBe(0)
    expect(connections.close({ sessionId: 's1', kind: 'device' }, 'logged_out')).toBe(0)
    expect(connections.close({ sessionId: 's1' }, 'logged_out')).toBe(1)
    expect(connections.close({ principalId: 'a' }, 'disabled')).toBe(1)
    expect(connections.size).toBe(0)
  })

  it('closes every connection of one principal, even when one of them throws', () => {
    const connections = registerOn(manualClock())
    const bad = connection(
      {},
      vi.fn(() => {
        throw new Error('broken')
      }),
    )
    const good = connection({})
    connections.add(bad)
    connections.add(good)
    expect(connections.close({ principalId: 'node-1' }, 'revoked')).toBe(2)
    expect(good.close).toHaveBeenCalledOnce()
  })

  it('lists in order of acceptance and forgets removed connections', () => {
    const connections = registerOn(manualClock())
    const all = [connection({}), connection({}), connection({})]
    const removals = all.map((each) => connections.add(each))
    removals[1]?.()
    removals[1]?.()
    expect([...connections.list()]).toEqual([all[0], all[2]])
    expect(connections.close({ principalId: 'node-1' }, 'revoked')).toBe(2)
    expect(all[1]?.close).not.toHaveBeenCalled()
  })

  it('closes each at its expiry with a single timer', () => {
    const clock = manualClock(0)
    const connections = registerOn(clock)
    const order: number[] = []
    const times = Array.from({ length: 500 }, (_, i) => ((i * 7919) % 500) + 1)
    const removals = times.map((at) =>
      connections.add(
        connection(
          { expiresAt: at * 1000 },
          vi.fn(() => void order.push(at)),
        ),
      ),
    )
    expect(clock.pending).toBe(1)
    for (let i = 0; i < 500; i += 3) removals[i]?.()
    clock.advance(250_000)
    clock.advance(250_000)
    const left = times.filter((_, i) => i % 3 !== 0).sort((a, b) => a - b)
    expect(order).toEqual(left)
    expect(connections.size).toBe(0)
    expect(clock.pending).toBe(0)
  })

  it('refuses a principal that has already expired', () => {
    const clock = manualClock(5000)
    const connections = registerOn(clock)
    for (const expiresAt of [5000, Number.NaN]) {
      const late = connection({ expiresAt })
      const registration = connections.register(late, connections.window.now())
      expect(registration).toEqual({ outcome: 'refused', reason: 'expired' })
      expect(late.close).not.toHaveBeenCalled()
    }
    expect(connections.size).toBe(0)
    expect(clock.pending).toBe(0)
  })

  // A delay over 2^31-1 ms fires at once in Node: a credential valid for a month would be cut off at acceptance.
  it('clamps the timer of a credential that is valid for longer than a timer can wait', () => {
    const clock = manualClock(0)
    const connections = registerOn(clock)
    const far = connection({ expiresAt: 2 ** 31 + 5000 })
    connections.add(far)
    clock.advance(2 ** 31 - 1)
    expect(far.close).not.toHaveBeenCalled()
    clock.advance(5001)
    expect(far.close).toHaveBeenCalledWith('expired')
  })

  it('leaves no timer when the last one that expires has gone', () => {
    const clock = manualClock(0)
    const connections = registerOn(clock)
    const remove = connections.add(connection({ expiresAt: 1000 }))
    connections.add(connection({}))
    remove()
    expect(clock.pending).toBe(0)
  })

  it('refuses a principal that was revoked since the decision', () => {
    const connections = registerOn(manualClock(0))
    const late = connection({ id: 'a', credentialId: 'k1' })
    const outcome = () => {
      const registration = connections.register(late, decided)
      if (registration.outcome === 'refused') return registration.reason
      registration.remove()
      return 'registered'
    }
    connections.close({ principalId: 'a' }, 'disabled')
    let decided = connections.window.now()
    expect(outcome()).toBe('registered')
    connections.close({ principalId: 'b' }, 'disabled')
    expect(outcome()).toBe('registered')
    connections.close({ credentialId: 'k1' }, 'rotated')
    expect(outcome()).toBe('rotated')
    decided = connections.window.now()
    expect(outcome()).toBe('registered')
  })

  // With more revocations than the window keeps, whether the principal is among them is unknown. "Revoked" would tell
  // a client with a good credential to stop for good, and "registered" could let a revoked one in.
  it('answers that a decision has to be repeated where more revocations came than it keeps', () => {
    const connections = registerOn(manualClock(0))
    const decided = connections.window.now()
    for (let i = 0; i < 1024; i++) connections.close({ principalId: 'b' }, 'revoked')
    const kept = connections.register(connection({}), decided)
    expect(kept.outcome).toBe('registered')
    connections.close({ principalId: 'b' }, 'revoked')
    expect(connections.register(connection({}), decided)).toEqual({
      outcome: 'refused',
      reason: 'unavailable',
    })
  })

  it('cannot be asked to register without the moment of a decision', () => {
    const connections = registerOn(manualClock(0))
    // @ts-expect-error The moment is missing: whether the principal was revoked since then would not be asked.
    expect(connections.register(connection({}))).toEqual({ outcome: 'refused', reason: 'unavailable' })
    // @ts-expect-error A number is no moment: only decisions carry one.
    connections.register(connection({}), 0)
  })
})

describe('closing very many at once', () => {
  /** A connection that can be muted, as sockets can. */
  function mutable(principal: Partial<Principal> = {}) {
    return { ...connection(principal), mute: vi.fn() }
  }
  type Mutable = ReturnType<typeof mutable>
  const muted = (all: readonly Mutable[]) => all.filter(({ mute }) => mute.mock.calls.length === 1).length
  const closed = (all: readonly LiveConnection[]) =>
    all.filter(({ close }) => vi.mocked(close).mock.calls.length === 1).length

  /** A clock that fires one timer at a time, like turns of the event loop. */
  function turns() {
    const due: (() => void)[] = []
    let now = 1000
    return {
      clock: {
        now: () => now,
        setTimer(milliseconds: number, callback: () => void) {
          expect(milliseconds).toBe(0)
          due.push(callback)
          return { cancel: () => {} }
        },
      },
      pass(milliseconds: number) {
        now += milliseconds
      },
      turn() {
        const callback = due.shift()
        callback?.()
        return callback !== undefined
      },
    }
  }
  function setUp(count: number, make: () => LiveConnection = mutable) {
    const { clock, ...rest } = turns()
    const connections = registerOn(clock)
    const all = Array.from({ length: count }, make)
    const removals = all.map((each) => connections.add(each))
    return { ...rest, connections, all: all as Mutable[], removals }
  }

  it('mutes all at once, and closes some of them in each turn of the event loop', () => {
    const { connections, all, turn } = setUp(1000)
    const before = connections.window.now()
    expect(connections.close({ principalId: 'node-1' }, 'revoked')).toBe(1000)
    expect([muted(all), connections.size, [...connections.list()].length]).toEqual([1000, 0, 0])
    expect(connections.window.since(before, all[999]?.principal as Principal)).toBe('revoked')
    const steps = [closed(all)]
    while (turn()) steps.push(closed(all))
    expect(steps.slice(0, 3)).toEqual([64, 128, 192])
    expect(steps.at(-1)).toBe(1000)
    expect(all.every(({ mute }) => mute.mock.calls[0]?.[0] === 'revoked')).toBe(true)
    expect(connections.close({ principalId: 'node-1' }, 'revoked')).toBe(0)
  })

  it('takes fewer where each takes long', () => {
    const { connections, all, turn, pass } = setUp(100)
    for (const { close } of all) close.mockImplementation(() => pass(1))
    connections.close({ principalId: 'node-1' }, 'revoked')
    expect(closed(all)).toBe(4)
    turn()
    expect(closed(all)).toBe(8)
  })

  it('shares the work of a turn among all revocations: many small ones do not block the event loop either', () => {
    const { connections, all, turn } = setUp(0)
    for (let n = 0; n < 500; n++) {
      const each = mutable({ id: `node-${n}` })
      all.push(each)
      connections.add(each)
    }
    for (let n = 0; n < 500; n++) {
      expect(connections.close({ principalId: `node-${n}` }, 'revoked')).toBe(1)
    }
    expect([muted(all), closed(all), connections.size]).toEqual([500, 64, 0])
    turn()
    expect(closed(all)).toBe(128)
    while (turn());
    expect(closed(all)).toBe(500)
  })

  it('does not close a connection that closed by itself before its turn', () => {
    const { connections, all, removals, turn } = setUp(100)
    connections.close({ principalId: 'node-1' }, 'revoked')
    removals[99]?.()
    removals[99]?.()
    while (turn());
    expect(closed(all)).toBe(99)
    expect(all[99]?.close).not.toHaveBeenCalled()
    expect(connections.size).toBe(0)
  })

  it('closes at once what cannot be muted, and what throws when it is', () => {
    const plain = setUp(200, () => connection({}))
    expect(plain.connections.close({ principalId: 'node-1' }, 'revoked')).toBe(200)
    expect(closed(plain.all)).toBe(200)
    const { connections, all } = setUp(200)
    for (const { mute } of all) {
      mute.mockImplementation(() => {
        throw new Error('broken')
      })
    }
    connections.close({ principalId: 'node-1' }, 'revoked')
    expect(all.every(({ close }) => close.mock.calls.length > 0)).toBe(true)
  })

  it('is the same for what expires together', () => {
    const clock = manualClock(0)
    const connections = registerOn(clock)
    const all = Array.from({ length: 300 }, () => mutable({ expiresAt: 1000 }))
    for (const each of all) connections.add(each)
    // The first that is closed looks at the others.
    all[0]?.close.mockImplementation(() => expect([muted(all), connections.size]).toEqual([300, 0]))
    clock.advance(1000)
    expect(closed(all)).toBe(300)
    expect(all[299]?.close).toHaveBeenCalledWith('expired')
    expect(clock.pending).toBe(0)
  })
})
