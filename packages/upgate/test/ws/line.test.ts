/*
 * A full quarantine of 40,000 sockets looked for the oldest one past the places of all that had left: a `Set` keeps
 * them until it is built again.
 */
import { describe, expect, it } from 'vitest'
import { Line } from '../../src/ws/limits/line.ts'
import { seededRandom } from './harness.ts'

describe('a line', () => {
  it('holds what a set holds, in its order', () => {
    const random = seededRandom(5)
    const items = Array.from({ length: 60 }, (_, name) => ({ name }))
    const line = new Line<{ name: number }>()
    const set = new Set<{ name: number }>()
    for (let i = 0; i < 30_000; i++) {
      const item = items[Math.floor(random() * items.length)] as { name: number }
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

  it('keeps its first, however many come and go behind it', () => {
    const line = new Line<object>()
    const stays = {}
    line.add(stays)
    for (let i = 0; i < 10_000; i++) {
      const goes = { i }
      line.add(goes)
      expect(line.delete(goes)).toBe(true)
    }
    expect(line.first).toBe(stays)
    expect([...line]).toEqual([stays])
    const last = {}
    line.add(last)
    expect(line.delete(stays)).toBe(true)
    expect(line.first).toBe(last)
  })
})
