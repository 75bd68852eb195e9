import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { networkOf } from '../src/upstream/network.ts'
import { createSlots, type Slot } from '../src/upstream/slots.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function stage(most: number, answers = true) {
  const slots = createSlots({ most, now: () => Date.now() })
  const evicted: string[] = []
  const given: string[] = []
  const held = new Map<string, Slot>()
  const take = async (address: string, { proven = false, signal = new AbortController().signal } = {}) => {
    const slot = await slots.take({ address, proven, signal, onEvicted: () => evicted.push(address) })
    given.push(address)
    held.set(address, slot)
    if (answers) slot.opened()
    return slot
  }
  return { slots, evicted, given, held, take }
}

it('leaves a third of the places to clients that have proved themselves', async () => {
  const { slots, take, given } = stage(6)
  for (let index = 0; index < 6; index++) void take(`10.0.${index}.1`)
  await vi.advanceTimersByTimeAsync(0)
  expect([slots.taken, slots.waiting]).toEqual([4, 2])
  void take('192.0.2.1', { proven: true })
  await vi.advanceTimersByTimeAsync(0)
  expect(given.at(-1)).toBe('192.0.2.1')
})

it('serves the network with the fewest places, and takes one from the largest after two seconds', async () => {
  const { slots, take, evicted, given } = stage(6)
  for (let index = 1; index <= 5; index++) void take(`10.0.0.${index}`)
  await vi.advanceTimersByTimeAsync(100)
  void take('192.0.2.1')
  await vi.advanceTimersByTimeAsync(1800)
  expect(evicted).toEqual([])
  await vi.advanceTimersByTimeAsync(200)
  expect(evicted).toEqual(['10.0.0.1'])
  expect(given.at(-1)).toBe('192.0.2.1')
  expect(slots.taken).toBe(4)
})

it('never takes the place of a client that has proved itself', async () => {
  const { take, evicted, held } = stage(4)
  void take('10.0.0.1')
  void take('10.0.0.2')
  await vi.advanceTimersByTimeAsync(0)
  for (const slot of held.values()) slot.prove()
  void take('192.0.2.1')
  await vi.advanceTimersByTimeAsync(10_000)
  expect(evicted).toEqual([])
})

it('serves a network first that a node was accepted from before', async () => {
  const { slots, take, given, held } = stage(4)
  slots.remember('198.51.100.7')
  void take('10.0.0.1')
  void take('10.0.1.1')
  await vi.advanceTimersByTimeAsync(0)
  void take('10.0.2.1')
  void take('198.51.100.9')
  held.get('10.0.0.1')?.release()
  await vi.advanceTimersByTimeAsync(0)
  expect(given.at(-1)).toBe('198.51.100.9')
})

it('forgets a client that left, and a second release', async () => {
  const { slots, take, held } = stage(4)
  const gone = new AbortController()
  void take('10.0.0.1')
  void take('10.0.1.1')
  await vi.advanceTimersByTimeAsync(0)
  const waiting = take('10.0.2.1', { signal: gone.signal })
  gone.abort(new Error('left'))
  await expect(waiting).rejects.toThrow('left')
  expect(slots.waiting).toBe(0)
  held.get('10.0.0.1')?.release()
  held.get('10.0.0.1')?.release()
  expect(slots.taken).toBe(1)
})

it.each([
  ['203.0.113.9', '203.0.113'],
  ['2001:db8:1:2::5', '2001:db8:1'],
  ['2001:db8::1', '2001:db8:0'],
  ['::1', '0:0:0'],
  [undefined, 'unknown'],
  ['nonsense', 'unknown'],
])('the network of %s is %s', (address, network) => {
  expect(networkOf(address)).toBe(network)
})

it('opens four sockets at a time for unknown networks, and waits for the gateway as long as it takes', async () => {
  const { slots, take, given, held, evicted } = stage(12, false)
  for (let index = 0; index < 8; index++) void take(`10.0.${index}.1`)
  await vi.advanceTimersByTimeAsync(5000)
  expect([given.length, slots.taken, evicted.length]).toEqual([4, 4, 0])
  // A node whose network is known does not wait for strangers.
  slots.remember('198.51.100.7')
  void take('198.51.100.7')
  await vi.advanceTimersByTimeAsync(0)
  expect(given.at(-1)).toBe('198.51.100.7')
  held.get('10.0.0.1')?.opened()
  await vi.advanceTimersByTimeAsync(0)
  expect(given.at(-1)).toBe('10.0.7.1')
})

it('opens twenty a second for clients that leave at once', async () => {
  const { take, given, held } = stage(24)
  for (let index = 0; index < 60; index++) {
    const address = `10.0.${index}.1`
    void take(address).then(() => held.get(address)?.release())
  }
  await vi.advanceTimersByTimeAsync(900)
  expect(given.length).toBe(20)
  await vi.advanceTimersByTimeAsync(1000)
  expect(given.length).toBe(40)
})

it('serves a new network before those that spent a turn, and the newest of several first', async () => {
  const { take, given, held } = stage(4)
  void take('10.0.0.1')
  void take('10.0.1.1')
  await vi.advanceTimersByTimeAsync(0)
  held.get('10.0.0.1')?.release()
  held.get('10.0.1.1')?.release()
  void take('10.0.8.1')
  void take('10.0.9.1')
  await vi.advanceTimersByTimeAsync(0)
  for (const address of ['10.0.0.2', '10.0.2.1', '10.0.3.1']) void take(address)
  held.get('10.0.8.1')?.release(false)
  await vi.advanceTimersByTimeAsync(0)
  expect(given.at(-1)).toBe('10.0.3.1')
  held.get('10.0.9.1')?.release()
  await vi.advanceTimersByTimeAsync(0)
  expect(given.at(-1)).toBe('10.0.2.1')
  // Its turn without a word, or with a pairing to wait for, is forgiven.
  void take('10.0.8.2')
  held.get('10.0.2.1')?.release()
  await vi.advanceTimersByTimeAsync(0)
  expect(given.at(-1)).toBe('10.0.8.2')
})
