import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { memoryBus } from '../../src/bus/memory.ts'
import { reconnectingBus } from '../../src/bus/reconnecting.ts'
import { busMessage, type RevocationBus, sequenceIn } from '../../src/core/ports/bus.ts'
import type { Logger } from '../../src/core/ports/logger.ts'
import type { Revocation } from '../../src/core/ports/revocations.ts'
import type { Store } from '../../src/core/ports/stores.ts'
import { createGate } from '../../src/create-gate.ts'
import { deviceToken } from '../../src/schemes/device-token.ts'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { guardServer } from '../../src/ws.ts'
import { outcomeOf, type Setup, setUp } from './setup.ts'

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn()
}

/** Passing time: all instances get a turn every half second. */
async function pass(setup: Setup, milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 500) {
    setup.clock.advance(500)
    await settle()
  }
}

/** The log is out of reach, for reading and writing. */
const logOperations = ['revocations.head', 'revocations.since']

function seenBy(setup: Setup): Revocation[] {
  const seen: Revocation[] = []
  setup.revocations.subscribe((revocation) => seen.push(revocation))
  return seen
}

function journal(): Logger & { readonly lines: string[] } {
  const lines: string[] = []
  return { lines, warn: (message) => lines.push(message), error: (message) => lines.push(message) }
}

describe('messages on the bus', () => {
  test('have a fixed form; all other messages are ignored', () => {
    expect(sequenceIn(busMessage(42))).toBe(42)
    const foreign = [
      '',
      '42',
      'upgate:2:42',
      'upgate:1:',
      'upgate:1:-1',
      'upgate:1:1e9',
      'upgate:1:4 ',
      {},
      null,
      7,
    ]
    for (const message of [...foreign, `upgate:1:${'9'.repeat(16)}`, `upgate:1:1${'0'.repeat(10_000)}`]) {
      expect(sequenceIn(message), String(message)).toBeUndefined()
    }
  })
})

describe('two instances on one bus', () => {
  async function two(limits = { logInterval: 0 }) {
    const store = memoryStore()
    const bus = memoryBus()
    const here = setUp({ store, bus, limits })
    const there = setUp({ store, bus, limits })
    await settle()
    return { store, bus, here, there, seen: seenBy(here) }
  }

  test('a revocation takes effect on the other at once, in no time', async () => {
    const { here, there, seen } = await two()
    const { id, token } = await there.devices.create({ name: 'd' })
    expect(await outcomeOf(here.devices.verify(token))).toBe('authenticated')
    await there.devices.revoke(id)
    await settle()
    expect(seen).toMatchObject([{ sequence: 1, selector: { credentialId: id }, reason: 'revoked' }])
    expect(await outcomeOf(here.devices.verify(token))).toBe('revoked_credential')
  })

  test('a number beyond the log causes a reading, and no harm', async () => {
    const { bus, here, seen } = await two()
    bus.announce(1_000_000)
    await settle()
    expect(seen).toEqual([])
    const { id } = await here.keys.create({ name: 'k' })
    await here.keys.revoke(id)
    expect(here.revocations.sequence()).toBe(1)
    expect(seen.map(({ sequence }) => sequence)).toEqual([1])
  })

  test('the next heartbeat makes up for a lost announcement', async () => {
    const store = memoryStore()
    const bus = memoryBus()
    let deaf = false
    const leaky: RevocationBus = {
      ...bus,
      announce: (sequence) => (deaf ? undefined : bus.announce(sequence)),
    }
    const here = setUp({ store, bus, limits: { logInterval: 0 } })
    const there = setUp({ store, bus: leaky, limits: { logInterval: 0 } })
    await settle()
    const seen = seenBy(here)
    const { id } = await there.keys.create({ name: 'k' })
    deaf = true
    await there.keys.revoke(id)
    await settle()
    expect(seen).toEqual([])
    deaf = false
    there.clock.advance(1500)
    await settle()
    expect(seen).toMatchObject([{ sequence: 1 }])
  })

  test('an announcement during a reading does not count as read', async () => {
    const { here, there, seen } = await two()
    const { id } = await there.keys.create({ name: 'k' })
    const release = here.hold('revocations.since')
    const reading = here.revocations.sync()
    await settle()
    await there.keys.revoke(id)
    await settle()
    expect(seen).toEqual([])
    release()
    await reading
    await settle()
    expect(seen).toMatchObject([{ sequence: 1 }])
  })

  test('heartbeats and timers end with the services', async () => {
    const { here } = await two({ logInterval: 1000 })
    await here.close()
    await settle()
    expect(here.clock.pending).toBe(0)
  })
})

describe('a silent bus', () => {
  const silentBus: RevocationBus = { announce() {}, subscribe: () => () => {}, close: async () => {} }

  test('is reported, and the log is read every second instead', async () => {
    const store = memoryStore()
    const logger = journal()
    const here = setUp({ store, bus: silentBus, logger, limits: { logInterval: 60_000 } })
    const there = setUp({ store })
    await settle()
    expect(here.revocations.health()).toEqual({ log: 'current', bus: 'heard' })
    await pass(here, 5000)
    expect(here.revocations.health()).toEqual({ log: 'current', bus: 'silent' })
    expect(logger.lines).toEqual([
      'The bus is silent: revocations elsewhere take effect when the log is read.',
    ])
    const seen = seenBy(here)
    await there.keys.revoke((await there.keys.create({ name: 'k' })).id)
    await pass(here, 1000)
    expect(seen).toMatchObject([{ sequence: 1 }])
  })

  test('and a log that cannot be read: cut off after 5 s, and verifications read the log first', async () => {
    const logger = journal()
    const setup = setUp({ bus: silentBus, logger })
    const { token } = await setup.keys.create({ name: 'k' })
    await settle()
    for (const operation of logOperations) setup.broken.add(operation)
    await pass(setup, 5500)
    expect(setup.revocations.health()).toEqual({ log: 'cut_off', bus: 'silent' })
    expect(logger.lines).toContain('Cut off: neither the log of revocations nor the bus can be heard.')
    // The record could be read, but not whether it is still valid.
    expect(await outcomeOf(setup.keys.verify(token))).toBe('unavailable')
    setup.broken.clear()
    expect(await outcomeOf(setup.keys.verify(token))).toBe('authenticated')
    expect(setup.revocations.health().log).toBe('current')
    expect(logger.lines).toContain('The log of revocations can be followed again.')
  })
})

describe('an instance without its store', () => {
  async function cutOff(options: Parameters<typeof setUp>[0] = {}) {
    const logger = journal()
    const setup = setUp({ logger, ...options })
    const { token } = await setup.keys.create({ name: 'k' })
    await settle()
    expect(await outcomeOf(setup.keys.verify(token))).toBe('authenticated')
    setup.broken.add('*')
    return { setup, token, logger, seen: seenBy(setup) }
  }

  test('trusts remembered verifications for less than a minute, then refuses, and closes live sockets', async () => {
    const { setup, token, logger, seen } = await cutOff()
    await pass(setup, 54_000)
    expect(await outcomeOf(setup.keys.verify(token))).toBe('authenticated')
    expect(seen).toEqual([])
    await pass(setup, 6000)
    expect(seen.map(({ selector, reason }) => [selector, reason])).toEqual([
      [{ kind: 'user' }, 'unavailable'],
      [{ kind: 'device' }, 'unavailable'],
      [{ kind: 'service' }, 'unavailable'],
    ])
    expect(setup.revocations.health().log).toBe('lost')
    expect(await outcomeOf(setup.keys.verify(token))).toBe('unavailable')
    expect(logger.lines).toContain('Cut off for a minute: revocations of the last minute are unknown.')
    // Logged and announced once.
    await pass(setup, 120_000)
    expect(seen).toHaveLength(3)
  })

  test('recovers by itself, and learns the revocations that it missed', async () => {
    const store = memoryStore()
    const { setup, token, seen } = await cutOff({ store })
    const there = setUp({ store })
    const other = await there.devices.create({ name: 'd' })
    await pass(setup, 70_000)
    seen.length = 0
    await there.devices.revoke(other.id)
    setup.broken.clear()
    await pass(setup, 1000)
    expect(seen).toMatchObject([{ sequence: 1, selector: { credentialId: other.id } }])
    expect(setup.revocations.health().log).toBe('current')
    expect(await outcomeOf(setup.keys.verify(token))).toBe('authenticated')
  })

  test('keeps live sockets if configured to; new decisions are still refused', async () => {
    const { setup, token, seen } = await cutOff({ dangerouslyKeepSocketsWhenCutOff: true })
    await pass(setup, 61_000)
    expect(seen).toEqual([])
    expect(await outcomeOf(setup.keys.verify(token))).toBe('unavailable')
  })

  test('messages on the bus do not make up for a log that cannot be read', async () => {
    const { setup, token, seen } = await cutOff({ bus: memoryBus() })
    await pass(setup, 61_000)
    expect(setup.revocations.health()).toEqual({ log: 'lost', bus: 'heard' })
    expect(seen).toHaveLength(3)
    expect(await outcomeOf(setup.keys.verify(token))).toBe('unavailable')
  })

  test('a log that never answers counts like one that refuses', async () => {
    const store = memoryStore()
    let hang = false
    const never = new Promise<never>(() => {})
    const log = store.revocations
    const hanging: Store = {
      ...store,
      revocations: {
        append: log.append,
        head: () => (hang ? never : log.head()),
        since: (...args) => (hang ? never : log.since(...args)),
      },
    }
    const setup = setUp({ store: hanging })
    const seen = seenBy(setup)
    await settle()
    hang = true
    await pass(setup, 62_000)
    expect(seen).toHaveLength(3)
    hang = false
    await pass(setup, 6000)
    expect(setup.revocations.health().log).toBe('current')
  })
})

describe('the clock', () => {
  test('that jumps, in either direction, cuts no instance off and misses no revocation', async () => {
    const store = memoryStore()
    let skew = 0
    const clock = manualClock()
    const here = setUp({ store, clock: { now: () => clock.now() + skew, setTimer: clock.setTimer } })
    const there = setUp({ store })
    await settle()
    const seen = seenBy(here)
    for (const jump of [3_600_000, -86_400_000]) {
      skew += jump
      seen.length = 0
      const { id } = await there.keys.create({ name: 'k' })
      await there.keys.revoke(id)
      clock.advance(1000)
      await settle()
      expect(seen).toMatchObject([{ selector: { credentialId: id } }])
      expect(here.revocations.health().log).toBe('current')
    }
  })

  test('of a process that was stopped for an hour: it reads new data before it gives up', async () => {
    const setup = setUp()
    const seen = seenBy(setup)
    await settle()
    setup.clock.advance(3_600_000)
    await settle()
    expect(seen).toEqual([])
    expect(setup.revocations.health().log).toBe('current')
  })
})

describe('a log that went back', () => {
  const entry = (sequence: number, credentialId: string): Revocation => ({
    sequence,
    at: 1,
    selector: { credentialId },
    reason: 'revoked',
  })

  function restored() {
    const store = memoryStore()
    let entries: Revocation[] = [entry(1, 'a'), entry(2, 'b'), entry(3, 'c')]
    const setup = setUp({
      store: {
        ...store,
        revocations: {
          append: async () => [],
          head: async () => entries.at(-1)?.sequence ?? 0,
          since: async (sequence, limit) => entries.filter((one) => one.sequence > sequence).slice(0, limit),
        },
      },
    })
    return {
      setup,
      restore(to: Revocation[]) {
        entries = to
      },
    }
  }

  test('was restored from a backup: every client proves itself again, and later entries do not count as read', async () => {
    const { setup, restore } = restored()
    await settle()
    const seen = seenBy(setup)
    restore([entry(1, 'a')])
    await setup.revocations.sync()
    expect(seen.map(({ selector }) => selector)).toEqual([
      { kind: 'user' },
      { kind: 'device' },
      { kind: 'service' },
    ])
    seen.length = 0
    restore([entry(1, 'a'), entry(2, 'x')])
    await setup.revocations.sync()
    expect(seen).toMatchObject([{ sequence: 2, selector: { credentialId: 'x' } }])
  })

  // Only a gap right before the first entry of a page was noticed.
  test('or has a gap anywhere: every client proves itself again, and later entries take effect', async () => {
    const { setup, restore } = restored()
    await setup.revocations.sync()
    const seen = seenBy(setup)
    restore([entry(1, 'a'), entry(2, 'b'), entry(3, 'c'), entry(4, 'd'), entry(7, 'g'), entry(8, 'h')])
    await setup.revocations.sync()
    expect(seen.map(({ sequence, selector }) => [sequence, selector])).toEqual([
      [4, { credentialId: 'd' }],
      [6, { kind: 'user' }],
      [6, { kind: 'device' }],
      [6, { kind: 'service' }],
      [7, { credentialId: 'g' }],
      [8, { credentialId: 'h' }],
    ])
    seen.length = 0
    restore([entry(8, 'h'), entry(10, 'j')])
    await setup.revocations.sync()
    expect(seen.map(({ sequence }) => sequence)).toEqual([9, 9, 9, 10])
  })

  test('and grew again beyond its former end: the entry under a known number differs', async () => {
    const { setup, restore } = restored()
    await setup.revocations.sync()
    const seen = seenBy(setup)
    restore([entry(1, 'a'), entry(2, 'x'), entry(3, 'y'), entry(4, 'z')])
    await setup.revocations.sync()
    expect(seen.map(({ selector }) => selector)).toEqual([
      { kind: 'user' },
      { kind: 'device' },
      { kind: 'service' },
    ])
    seen.length = 0
    await setup.revocations.sync()
    expect(seen).toEqual([])
  })
})

describe('a bus over a connection', () => {
  function line() {
    const clock = manualClock()
    const connections: { hear(message: unknown): void; ended(): void; sent: string[]; destroyed: boolean }[] =
      []
    let reachable = true
    let echoes = true
    const connect = async (hear: (message: unknown) => void, ended: () => void) => {
      if (!reachable) throw new Error('connection refused')
      const one = { hear, ended, sent: [] as string[], destroyed: false }
      connections.push(one)
      return {
        async send(message: string) {
          one.sent.push(message)
          if (echoes) hear(message)
        },
        destroy() {
          one.destroyed = true
        },
      }
    }
    return {
      clock,
      connections,
      open: () =>
        reconnectingBus({
          name: 'The bus',
          clock,
          random: () => 0,
          logger: { warn() {}, error() {} },
          connect,
        }),
      set(is: { reachable?: boolean; echoes?: boolean }) {
        reachable = is.reachable ?? reachable
        echoes = is.echoes ?? echoes
      },
    }
  }

  test('that ends is reopened, after growing delays, and announces the newest number', async () => {
    const { clock, connections, open, set } = line()
    const bus = await open()
    set({ reachable: false })
    connections[0]?.ended()
    expect(connections[0]?.destroyed).toBe(true)
    for (let i = 0; i < 100; i++) bus.announce(i)
    for (let i = 0; i < 20; i++) {
      clock.advance(1000)
      await settle()
    }
    set({ reachable: true })
    clock.advance(5000)
    await settle()
    expect(connections).toHaveLength(2)
    expect(connections[1]?.sent).toEqual(['upgate:1:99'])
  })

  test('that looks alive but answers nothing is replaced', async () => {
    const { clock, connections, open, set } = line()
    const bus = await open()
    set({ echoes: false })
    bus.announce(1)
    await settle()
    clock.advance(4000)
    expect(connections[0]?.destroyed).toBe(true)
    clock.advance(100)
    await settle()
    expect(connections).toHaveLength(2)
  })

  test('that hangs while connecting is given up too', async () => {
    const clock = manualClock()
    let attempts = 0
    const opening = reconnectingBus({
      name: 'The bus',
      clock,
      random: () => 0,
      logger: { warn() {}, error() {} },
      connect: (_hear, _ended, abandoned) => {
        attempts++
        return new Promise((_, reject) => {
          abandoned.addEventListener('abort', () => reject(new Error('abandoned')))
        })
      },
    })
    clock.advance(6000)
    const bus = await opening
    clock.advance(100)
    expect(attempts).toBe(2)
    await bus.close()
    await settle()
    expect(clock.pending).toBe(0)
  })

  test('ignores messages of a connection that it gave up, or after it was closed', async () => {
    const { clock, connections, open } = line()
    const bus = await open()
    const heard: number[] = []
    bus.subscribe((sequence) => heard.push(sequence))
    connections[0]?.ended()
    connections[0]?.hear('upgate:1:7')
    expect(heard).toEqual([])
    await bus.close()
    bus.announce(8)
    clock.advance(60_000)
    await settle()
    expect(connections).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })
})

describe('live sockets of an instance that is cut off', () => {
  test('are closed with 1013 after a minute, and new ones are refused with 503', async () => {
    const logger = journal()
    const setup = setUp({ logger })
    const gate = createGate({
      schemes: [deviceToken({ devices: setup.devices })],
      rules: [{ path: '/ws', access: 'required', kinds: ['device'] }],
      hosts: ['127.0.0.1'],
      logger,
    })
    const server = createServer()
    const wss = new WebSocketServer({ noServer: true })
    wss.on('connection', () => {})
    guardServer(server, gate, { sockets: { '/ws': wss } })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`
    try {
      const { token } = await setup.devices.create({ name: 'd' })
      const headers = { authorization: `Bearer ${token}` }
      const socket = new WebSocket(url, { headers })
      await once(socket, 'open')
      const closing = once(socket, 'close')
      setup.broken.add('*')
      await pass(setup, 60_000)
      const [code, reason] = await closing
      expect([code, String(reason)]).toEqual([1013, 'unavailable'])
      const [, response] = await once(
        new WebSocket(url, { headers }).on('error', () => {}),
        'unexpected-response',
      )
      expect(response.statusCode).toBe(503)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})
