// Needs half a minute of a core: hundreds of clients with real sockets in one process. UPGATE_CLIENTS=1000 takes more.
import { type Connection, connect } from '@upgate/client'
import { manualClock } from 'upgate/testing'
import { expect, test } from 'vitest'
import { freePort } from '../../../test/free-port.ts'
import { cleanUp, kept, later, startGate, type TestGate } from './helpers.ts'

cleanUp()

/*
 * Hundreds of clients of one gate, over real sockets: how they come back when it restarts. The clients' time passes only
 * when every attempt has ended, so that the counts are the same on a busy machine. UPGATE_PRINT=1 prints them.
 */

const clients = Number(process.env.UPGATE_CLIENTS ?? 300)
const credential = 'a-shared-token-of-this-gate'

/** A share of the clients, and four standard deviations for chance. */
const atMost = (share: number): number => clients * share + 4 * Math.sqrt(clients * share * (1 - share))

interface Crowd {
  /** Attempts in each second since the last `forget`. */
  readonly perSecond: () => readonly number[]
  readonly accepted: () => number
  readonly forget: () => void
  /** Lets so many seconds pass for the clients. */
  pass(seconds: number, until?: () => boolean): Promise<void>
}

async function crowd(port: number): Promise<Crowd> {
  const clock = manualClock()
  let seed = 1
  const random = (): number => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }
  let since = clock.now()
  let counts: number[] = []
  const busy = new Set<Connection>()
  const connections = Array.from({ length: clients }, () => {
    const connection = kept(connect(`ws://127.0.0.1:${port}/ws`, { credential, clock, random, keepAlive: 0 }))
    connection.on('state', ({ name }) => {
      if (name === 'connecting') {
        const second = Math.floor((clock.now() - since) / 1000)
        counts[second] = (counts[second] ?? 0) + 1
      }
      if (name === 'connecting' || name === 'authenticating') busy.add(connection)
      else busy.delete(connection)
    })
    return connection
  })
  const settled = async (): Promise<void> => {
    // The pauses are for the network; no count depends on their length.
    do await new Promise((resolve) => setTimeout(resolve, 1))
    while (busy.size > 0)
  }
  await settled()
  return {
    perSecond: () => Array.from(counts, (count) => count ?? 0),
    accepted: () => connections.filter(({ state }) => state.name === 'accepted').length,
    forget() {
      counts = []
      since = clock.now()
    },
    async pass(seconds, until = () => false) {
      for (let tenth = 0; tenth < seconds * 10 && !until(); tenth++) {
        clock.advance(100)
        await settled()
      }
    },
  }
}

/** All of them may wait at once, and come from one address. */
const open = (port: number): Promise<TestGate> =>
  startGate(
    {},
    { trustedProxies: ['loopback'] },
    { maxSockets: 2 * clients, maxAnonymousSockets: 2 * clients },
    port,
  )

function print(name: string, perSecond: readonly number[]): void {
  if (process.env.UPGATE_PRINT !== undefined) console.log(`${name}: ${perSecond.join(' ')}`)
}

test.each([
  ['1012, away for 10 s', 1012, 10],
  ['1012, back at once', 1012, 0],
  ['killed, away for 10 s', undefined, 10],
] as const)(
  'a gate that restarts: %s',
  async (name, code, away) => {
    const port = await freePort()
    const first = await open(port)
    const { perSecond, accepted, forget, pass } = await crowd(port)
    expect(accepted()).toBe(clients)
    // Long enough for the pauses to begin with the shortest.
    await pass(31)
    forget()
    const gone = new Promise((resolve) => first.server.close(resolve))
    if (code === undefined) for (const socket of first.sockets.clients) socket.terminate()
    else await first.guard.close({ code })
    first.server.closeAllConnections()
    await gone
    if (away === 0) await open(port)
    else {
      await pass(away)
      expect(accepted()).toBe(0)
      await open(port)
    }
    await pass(60, () => accepted() === clients)
    print(name, perSecond())
    expect(accepted()).toBe(clients)
    // Refused connections of a gate that is away, then sockets of one that is back.
    expect(Math.max(...perSecond())).toBeLessThan(atMost(0.45))
    expect(Math.max(...perSecond().slice(away))).toBeLessThan(atMost(away === 0 ? 0.25 : 0.2))
    // No client waits longer than the longest pause.
    expect(perSecond().length).toBeLessThan(away + 31)
  },
  60_000,
)

test.each([
  ['1013', 'close'],
  ['503 with Retry-After: 7', 'answer'],
] as const)(
  'a gate that has too much to do: %s',
  async (name, how) => {
    const port = await freePort()
    const gate = await open(port)
    const { perSecond, accepted, forget, pass } = await crowd(port)
    await pass(31)
    forget()
    let full = true
    const emit = gate.server.emit.bind(gate.server)
    // In front of the gate, as a proxy that is at its limit.
    gate.server.emit = (event: string, ...values: unknown[]) => {
      if (event !== 'upgrade' || !full || how === 'close') return emit(event, ...values)
      const socket = values[1] as { end(text: string): void }
      socket.end('HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n')
      return true
    }
    later(() => {
      full = false
    })
    for (const socket of gate.sockets.clients) socket.close(how === 'close' ? 1013 : 1012)
    await expect.poll(accepted).toBe(0)
    await pass(12)
    full = false
    await pass(60, () => accepted() === clients)
    print(name, perSecond())
    expect(accepted()).toBe(clients)
    expect(Math.max(...perSecond())).toBeLessThan(atMost(0.25))
    // Retry-After wins: the first attempts were refused within 5 s, and none comes back before 7 s more are over.
    if (how === 'answer') expect(perSecond().slice(5, 7)).toEqual([0, 0])
  },
  60_000,
)
