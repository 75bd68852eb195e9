import { describe, expect, it } from 'vitest'
import { flat } from '../../src/core/text/flat.ts'
import { TextMap } from '../../src/core/text/text-map.ts'
import { seeded } from './seeded.ts'

/** Texts that share their number: they differ only where no character is looked at. */
const alike = ['/api/1tems/list', '/api/2tems/list', '/api/3tems/list'] as const

describe('a map from texts', () => {
  it('keeps apart what shares a number, also when the first of them is deleted', () => {
    const [a, b, c] = alike
    const map = new TextMap<number>()
    map.set(a, 1)
    map.set(b, 2)
    expect([map.get(a), map.get(b), map.get(c), map.size]).toEqual([1, 2, undefined, 2])
    map.delete(a)
    expect([map.get(a), map.get(b), map.size]).toEqual([undefined, 2, 1])
    map.set(b, 3)
    expect([map.get(b), map.size, [...map.values()]]).toEqual([3, 1, [3]])
    map.set(c, 4)
    map.delete(c)
    map.delete(b)
    expect([map.get(b), map.get(c), map.size, [...map.values()]]).toEqual([undefined, undefined, 0, []])
  })

  it('has only texts that were added', () => {
    const map = new TextMap<number>()
    for (const name of ['', '/', '__proto__', 'constructor', 'toString', '0', 'x'.repeat(10_000), '\ud800']) {
      expect(map.get(name)).toBeUndefined()
      map.set(name, name.length)
      expect(map.get(name)).toBe(name.length)
      expect(map.get(`${name}x`)).toBeUndefined()
    }
    expect(map.size).toBe(8)
  })

  it('answers as a Map does, in 2,000 random steps over few texts', () => {
    const random = seeded(1)
    const texts = [...alike, '', '/', '/a', '/b', '__proto__', '/api/items', '/api/itemz', '/apj/items']
    const map = new TextMap<number>()
    const plain = new Map<string, number>()
    for (let i = 0; i < 2_000; i++) {
      const text = texts[Math.floor(random() * texts.length)] as string
      if (random() < 0.5) {
        map.set(text, i)
        plain.set(text, i)
      } else if (random() < 0.6) {
        map.delete(text)
        plain.delete(text)
      }
      expect([map.size, ...texts.map((each) => map.get(each))]).toEqual([
        plain.size,
        ...texts.map((each) => plain.get(each)),
      ])
    }
    expect([...map.values()].sort()).toEqual([...plain.values()].sort())
  })
})

it.each(['', 'a', '0', '12', '__proto__', 'gateway.example.com'])('flat(%j) is the same text', (text) => {
  expect(flat(`${text}/`.slice(0, -1))).toBe(text)
})
