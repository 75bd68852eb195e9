import { describe, expect, it } from 'vitest'
import { Chain, type Linked } from '../../src/ws/limits/chain.ts'
import { seededRandom } from './harness.ts'

interface Item extends Linked {
  readonly name: number
}

const names = (items: Iterable<Item>): number[] => [...items].map(({ name }) => name)

describe('a chain', () => {
  it('holds what a set holds, in its order', () => {
    const random = seededRandom(6)
    const items = Array.from({ length: 60 }, (_, name): Item => ({ name }))
    const chain = new Chain<Item>()
    const set = new Set<Item>()
    for (let i = 0; i < 30_000; i++) {
      const item = items[Math.floor(random() * items.length)] as Item
      if (random() < 0.5) {
        chain.add(item)
        set.add(item)
      } else expect(chain.delete(item)).toBe(set.delete(item))
      expect([chain.size, chain.first?.name]).toEqual([set.size, [...set][0]?.name])
      if (i % 100 === 0) expect(names(chain)).toEqual(names(set))
    }
  })

  it('lets the item go that a walk has just given', () => {
    const chain = new Chain<Item>()
    for (let name = 0; name < 5; name++) chain.add({ name })
    const seen: number[] = []
    for (const item of chain) {
      seen.push(item.name)
      if (item.name % 2 === 0) chain.delete(item)
    }
    expect(seen).toEqual([0, 1, 2, 3, 4])
    expect(names(chain)).toEqual([1, 3])
  })

  it('takes no item of another chain, and lets none of another go', () => {
    const [one, other] = [new Chain<Item>(), new Chain<Item>()]
    const item: Item = { name: 1 }
    one.add(item)
    expect(() => other.add(item)).toThrow('another chain')
    expect(other.delete(item)).toBe(false)
    expect([one.size, other.size]).toEqual([1, 0])
  })
})
