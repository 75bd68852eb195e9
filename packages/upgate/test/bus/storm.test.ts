import { describe, expect, test } from 'vitest'
import { reconnectingBus } from '../../src/bus/reconnecting.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'

const instances = 100
const logger = { warn() {}, error() {} }

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

/** Numbers that do not change from run to run (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Many instances that lose their server in the same millisecond, and what the server sees of them. */
async function lose(random: () => number) {
  const clock = manualClock(0)
  const attempts: number[] = []
  const ends: (() => void)[] = []
  let up = true
  const buses = await Promise.all(
    Array.from({ length: instances }, () =>
      reconnectingBus({
        ...{ name: 'The bus', clock, logger, random },
        async connect(_, ended) {
          attempts.push(clock.now())
          if (!up) throw new Error('refused')
          ends.push(ended)
          return { send: async () => {}, destroy() {} }
        },
      }),
    ),
  )
  attempts.length = 0
  up = false
  for (const end of ends.splice(0)) end()
  async function pass(milliseconds: number): Promise<void> {
    for (let passed = 0; passed < milliseconds; passed += 10) {
      clock.advance(10)
      await settle()
    }
  }
  /** Largest number of attempts within a tenth of a second. */
  const most = (since = 0): number =>
    Math.max(...attempts.map((at) => attempts.filter((t) => t >= since && t >= at && t < at + 100).length))
  return {
    ...{ clock, attempts, ends, pass, most },
    restore() {
      up = true
    },
    close: () => Promise.all(buses.map((bus) => bus.close())),
  }
}

describe('a hundred instances that lose the bus together', () => {
  test('come back one after the other while the server is away, and when it is back', async () => {
    const crowd = await lose(seededRandom(7))
    await crowd.pass(30_000)
    // Spread over a second at first (10 in a tenth), over 5 s after a while (2 in a tenth).
    expect(crowd.most()).toBeLessThanOrEqual(25)
    expect(crowd.most(10_000)).toBeLessThanOrEqual(15)
    // Half of the longest pause on the average: 12 attempts of an instance in half a minute.
    expect(crowd.attempts.length).toBeGreaterThan(10 * instances)
    expect(crowd.attempts.length).toBeLessThan(16 * instances)
    const back = crowd.clock.now()
    crowd.restore()
    await crowd.pass(5_100)
    expect(crowd.ends).toHaveLength(instances)
    expect(crowd.most(back)).toBeLessThanOrEqual(15)
    await crowd.close()
    expect(crowd.clock.pending).toBe(0)
  })

  test('a server that closes each connection at once is asked about twice a second by each', async () => {
    const crowd = await lose(seededRandom(8))
    crowd.restore()
    for (let passed = 0; passed < 10_000; passed += 10) {
      await crowd.pass(10)
      for (const end of crowd.ends.splice(0)) end()
    }
    expect(crowd.attempts.length).toBeLessThan(25 * instances)
    await crowd.close()
  })

  test('however small the random numbers are, no instance asks without a pause', async () => {
    const crowd = await lose(() => 0)
    await crowd.pass(1_000)
    expect(crowd.attempts.length).toBeLessThanOrEqual(20 * instances)
    await crowd.close()
  })
})
