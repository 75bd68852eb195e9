// The part of the page about scale: a row for each shape once it was measured, and no figure before.
import { readFileSync } from 'node:fs'
import { createGate, fromRequest } from 'upgate'
import { expect, test } from 'vitest'
import { reportScale } from '../src/scale/report.mjs'
import { shapes } from '../src/scale/shapes.mjs'
import { spreads } from '../src/scale/spreads.mjs'
import { scale } from '../src/scale/suite.mjs'
import type { Result } from '../src/suite.mjs'

const kept: Result = JSON.parse(readFileSync(new URL('../results/scale.json', import.meta.url), 'utf8'))
const rounds = 15
const of = (value: number) => Array.from({ length: rounds }, () => value)
const settings = scale.settings('full', { peers: false })
const measured: Result = {
  ...kept,
  rounds,
  settings,
  samples: {
    ...Object.fromEntries(
      Object.keys(shapes).flatMap((shape) => [
        [`rules ${shape} 2000`, { each: of(8), all: of(16) }],
        [`rules ${shape} 20000`, { each: of(4), all: of(shape === 'deep' ? 101 : 99) }],
      ]),
    ),
    'sessions 10': { decide: of(5), create: of(10), revoke: of(2) },
    'sessions 1000': { decide: of(5), create: of(20), revoke: of(2) },
    'sessions 9000': { decide: of(5), create: of(30), revoke: of(2) },
    ...Object.fromEntries(
      Object.keys(spreads).flatMap((spread) => [
        [`places ${spread} 500`, { newcomer: of(200) }],
        [`places ${spread} 4000`, { newcomer: of(220) }],
      ]),
    ),
  },
}
const row = (text: string, name: string) => text.split('\n').find((line) => line.startsWith(`| ${name} |`))

test('each shape has a row, with its cost for each rule and for all, and the target', () => {
  const text = reportScale(measured)
  for (const [shape, { name }] of Object.entries(shapes)) {
    const [all, verdict] = shape === 'deep' ? ['101', 'not met'] : ['99.0', 'met']
    expect(row(text, name)).toBe(
      `| ${name} | 8.00 | 4.00: 0.50 (0.50–0.50) | ${all} (${all}–${all}) | ≤ 100: **${verdict}** |`,
    )
  }
  expect(row(text, 'one session more, µs')).toBe(
    '| one session more, µs | 10.0 | 20.0: 2.00 (2.00–2.00) | 30.0: 3.00 (3.00–3.00) |',
  )
  for (const name of Object.values(spreads))
    expect(row(text, name)).toBe(`| ${name} | 200 | 220: 1.10 (1.10–1.10) |`)
  expect(text).not.toContain('Not measured yet')
})

test('results from before have no such row, and the page says so', () => {
  const { rules: _, sessions: __, places: ___, ...before } = settings
  const text = reportScale({ ...measured, settings: before, samples: {} })
  expect(text).toContain(
    'Not measured yet: `createGate` with many rules, one account with all sessions, a full quarantine.',
  )
  for (const name of [...Object.values(shapes).map((shape) => shape.name), ...Object.values(spreads)])
    expect(row(text, name)).toBeUndefined()
})

test('the narrower of two combinations comes first, and no two are the same', () => {
  const paths = Array.from({ length: 20_000 }, (_, i) => shapes.combinations?.rule(i).path as string)
  expect(new Set(paths.map((path) => path.replace(/:p\d+/g, ':'))).size).toBe(20_000)
  expect(paths[0]).toBe('/a'.repeat(15))
})

test.each(Object.entries(shapes))('a gate takes rules of the shape %s', (_, { rule }) => {
  const schemes = [fromRequest(() => undefined, { name: 'none' })]
  const rules = Array.from({ length: 40 }, (_, i) => rule(i))
  expect(createGate({ origins: ['https://a.example'], schemes, rules }).rules().length).toBeGreaterThan(40)
})
