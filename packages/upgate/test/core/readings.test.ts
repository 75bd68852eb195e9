/*
 * A target of 2 KiB could cost the gate 110 ms: blanks were removed by an expression that took the square of their
 * number, and every reading was read by every transformation again. The readings of a path are found within a budget,
 * and they are the same readings as before.
 */
import { describe, expect, it } from 'vitest'
import { foldsOf } from '../../src/core/request/fold.ts'
import { Steps } from '../../src/core/request/readings.ts'
import { analyseTarget } from '../../src/core/request/target.ts'
import { makeGate, request, verdict } from './fixtures.ts'

const budget = 49_152
const longest = 2048

/** The readings of a path as they were found at first: every transformation of every reading, by expressions. */
function readingsByExpressions(path: string): readonly string[] | string | undefined {
  const transformations: readonly ((path: string) => string)[] = [
    (text) =>
      text.replace(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    (text) => text.replaceAll('\\', '/'),
    (text) => text.replace(/;[^/]*/g, ''),
    (text) => text.replace(/[?#].*$/s, ''),
    (text) => text.replace(/^\/\/+[^/]*/, ''),
    (text) => text.replace(/\/{2,}/g, '/'),
    (text) => text.replace(/ +(?=\/|$)/g, ''),
    (text) => {
      const out: string[] = []
      const segments = text.split('/').slice(1)
      segments.forEach((segment, i) => {
        if (segment !== '.' && segment !== '..') out.push(segment)
        else {
          if (segment === '..') out.pop()
          if (i === segments.length - 1) out.push('')
        }
      })
      return `/${out.join('/')}`
    },
  ]
  const seen = new Set<string>([path])
  for (const reading of seen) {
    for (const transform of transformations) {
      const made = transform(reading)
      const next = made.startsWith('/') ? made : `/${made}`
      if (seen.has(next)) continue
      if ([...next].some((char) => char < ' ' || char === '\x7f'))
        return 'The path contains an encoded control character.'
      for (const run of next.match(/(?:%[89a-f][0-9a-f])+/gi) ?? []) {
        try {
          decodeURIComponent(run)
        } catch {
          return 'The path is not valid UTF-8.'
        }
      }
      seen.add(next)
      if (seen.size > 48) return undefined
    }
  }
  return [...new Set([...seen].flatMap((reading) => foldsOf(reading) ?? []))]
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const pieces =
  '/ / // . .. /../ /./ \\ ; # a A | %20 %20/ %25 %2525 %2e %2f %5c %3b %23 %3f %41 %252e %252f %2520 %255c %2541 %25c3%25a9 %25%63%33%25%61%39 %c3%a9 %ce%a3 %cc%87 %cc%a3 %c4%b0 %e1%ba%9e %e2%84%aa %5b %27 : %2500 %257f %25c3'.split(
    ' ',
  )

describe('the readings of a path', () => {
  it('are those that expressions find', () => {
    const random = randomOf(Number(process.env.UPGATE_SEED ?? 7))
    const seen = { readings: 0, malformed: 0, ambiguous: 0 }
    for (let i = 0; i < 12_000; i++) {
      const length = 1 + Math.floor(random() * random() * 18)
      const path = `/${Array.from({ length }, () => pieces[Math.floor(random() * pieces.length)]).join('')}`
      const target = analyseTarget(path)
      if (typeof target === 'object' && (!('readings' in target) || target.readings === undefined)) continue
      const wanted = readingsByExpressions(path.replace(/%5b/gi, '['))
      const found = target === 'ambiguous' ? undefined : target.readings
      expect([path, found]).toEqual([path, wanted])
      seen[wanted === undefined ? 'ambiguous' : 'readings']++
    }
    // The test means nothing where few paths are hostile.
    expect(seen.readings).toBeGreaterThan(2_000)
    expect(seen.ambiguous).toBeGreaterThan(0)
  })

  it('are refused as malformed where expressions refuse them', () => {
    const random = randomOf(11)
    let malformed = 0
    for (let i = 0; i < 12_000; i++) {
      const length = 1 + Math.floor(random() * 6)
      const path = `/#${Array.from({ length }, () => pieces[Math.floor(random() * pieces.length)]).join('')}`
      const wanted = readingsByExpressions(path.replace(/%5b/gi, '['))
      if (typeof wanted !== 'string') continue
      malformed++
      expect([path, analyseTarget(path)]).toEqual([path, { malformed: wanted }])
    }
    expect(malformed).toBeGreaterThan(300)
  })
})

describe('the work on a hostile path', () => {
  const stepsOf = (path: string): number => {
    const steps = new Steps()
    analyseTarget(path, steps)
    return steps.taken
  }

  it('has a bound that a search for the worst does not pass', () => {
    const random = randomOf(3)
    const some = (most: number): string[] =>
      Array.from(
        { length: 1 + Math.floor(random() * most) },
        () => pieces[Math.floor(random() * pieces.length)] as string,
      )
    const write = ([head, unit, tail]: readonly string[][]): string => {
      const [start, again, end] = [head, unit, tail].map((part) => part?.join('') ?? '') as [
        string,
        string,
        string,
      ]
      const times = Math.max(0, Math.floor((longest - 1 - start.length - end.length) / again.length))
      return `/${start}${again.repeat(times)}${end}`
    }
    let best: readonly string[][] = [some(4), some(4), some(4)]
    let worst = 0
    for (let i = 0; i < 1_500; i++) {
      const candidate =
        i % 3 === 0 ? [some(4), some(4), some(4)] : best.map((part) => (random() < 0.4 ? some(5) : part))
      const taken = stepsOf(write(candidate))
      if (taken < worst) continue
      worst = taken
      best = candidate
    }
    // One step may be asked for that is not granted: the texts of a whole path outside ASCII.
    expect(worst).toBeLessThanOrEqual(budget + 16 * longest)
    // The search has found the bound, so that the bound is what holds the work back.
    expect(worst).toBeGreaterThan(budget)
  })

  it.each([
    ['blanks in a row', `/.\\//%3f${'%20'.repeat(600)}x/../%3b%25252e|%e2%84%aa%c4%b0`],
    ['doubled slashes', `/%2f|${'/'.repeat(1900)}%3b%255c%23%2520/`],
    ['segments outside ASCII', `/%25252e${'/%c3%a9'.repeat(280)}`],
    ['one letter that makes case costly', `/%25c3%25a9%5b%c4%b0${'A;'.repeat(950)}|%255c%2525`],
  ])('refuses %s with a code, after a bounded number of steps', async (_, path) => {
    expect(await verdict(makeGate(), request(path))).toBe('invalid ambiguous_target')
    expect(stepsOf(path)).toBeLessThanOrEqual(budget + 16 * longest)
  })

  it('leaves enough for a long URL inside a path', () => {
    const url = encodeURIComponent(`https://example.com/a/b?c=${'d'.repeat(1800)}#e`)
    expect(analyseTarget(`/proxy/${url}`)).toMatchObject({ readings: { length: 5 } })
  })

  it('takes up to 30 combining marks in a row, and no more: their order costs the square of their number', async () => {
    const gate = makeGate({ rules: [{ path: '/*', access: 'public' }] })
    const marks = (count: number): string => '%cc%a3%cc%81'.repeat(count / 2)
    expect(await verdict(gate, request(`/a${marks(30)}`))).toBe('allow')
    expect(await verdict(gate, request(`/a${marks(30)}b${marks(30)}`))).toBe('allow')
    const refused = await gate.decide(request(`/a${marks(30)}%cc%81`))
    expect(refused).toMatchObject({
      code: 'malformed_target',
      detail: 'The path has more than 30 combining marks in a row.',
    })
    expect(await verdict(gate, request(`/a%25cc%2581${marks(30)}`))).toBe('invalid malformed_target')
  })
})
