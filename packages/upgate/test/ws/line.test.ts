/*
 * A full quarantine of 40,000 sockets looked for the oldest one past the places of all that had left: a `Set` keeps
 * them until it is built again.
 */
import { describe, expect, it } from 'vitest'
import { Line, type Placed } from '../../src/ws/limits/line.ts'
import { seededRandom } from './harness.ts'

interface Item extends Placed {
  readonly name: number
}

describe('a line', () => {
  it('holds what a set holds, in its order', () => {
    const random = seededRandom(5)
    const items = Array.from({ length: 60 }, (_, name) => ({ name, place: 0 }))
    const line = new Line<Item>()
    const set = new Set<Item>()
    for (let i = 0; i < 30_000; i++) {
      const item = items[Math.floor(random() * items.length)] as Item
      const oldest = [...set][0]
      const roll = random()
      if (roll < 0.45) {
        line.add(item)
        set.add(item)
      } else if (roll < 0.7) expect(line.delete(item)).toBe(set.delete(item))
      else if (roll < 0.9 && oldest !== undefined) {
        expect(line.delete(oldest)).toBe(true)
        set.delete(oldest)
      }
      expect(line.first).toBe([...set][0])
      expect(line.size).toBe(set.size)
      expect(line.has(item)).toBe(set.has(item))
      if (i % 100 === 0) expect([...line]).toEqual([...set])
    }
  })

  it('does not take an item of another line for its own', () => {
    const [one, other] = [new Line<Placed>(), new Line<Placed>()]
    const items = [{ place: 0 }, { place: 0 }, { place: 0 }] as const
    one.add(items[0])
    one.add(items[1])
    other.add(items[2])
    expect([one.has(items[2]), one.delete(items[2]), other.delete(items[0])]).toEqual([false, false, false])
    expect([[...one], [...other]]).toEqual([[items[0], items[1]], [items[2]]])
  })

  it('keeps its first, however many come and go behind it', () => {
    const line = new Line<Placed>()
    const stays = { place: 0 }
    line.add(stays)
    for (let i = 0; i < 10_000; i++) {
      const goes = { place: i }
      line.add(goes)
      expect(line.delete(goes)).toBe(true)
    }
    expect(line.first).toBe(stays)
    expect([...line]).toEqual([stays])
    const last = { place: 0 }
    line.add(last)
    expect(line.delete(stays)).toBe(true)
    expect(line.first).toBe(last)
  })
})
