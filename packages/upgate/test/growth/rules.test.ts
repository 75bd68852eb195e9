/* The start of a gate with many rules, and the list of its rules: the work may grow with their number, not with its square.
   Each shape was quadratic in some version of some part. Work is counted, not timed; the bound is between 4 and 16. */
import { describe, expect, it } from 'vitest'
import type { RuleOptions } from '../../src/index.ts'
import { growth } from './work.ts'

const { createGate, fromRequest } = await import('../../src/index.ts')

const methods = ['GET', 'POST', 'PUT', 'DELETE'] as const

const shapes: Readonly<Record<string, (i: number, n: number) => RuleOptions>> = {
  'one shared first segment': (i) => ({ path: `/api/r${i}`, access: 'required' }),
  'a parameter first': (i) => ({ path: `/:tenant/r${i}`, access: 'required' }),
  'a wildcard tail': (i) => ({ path: `/r${i}/:id/*`, access: 'required' }),
  'a parameter in the middle': (i) => ({ path: `/api/:id/r${i}/:x`, access: 'required' }),
  'public rules': (i) => ({ path: `/api/r${i}/:id`, access: 'public' }),
  'deep paths': (i) => ({ path: `/a/b/c/d/e/f/g/h/i/j/k/l/m/r${i}`, access: 'required' }),
  'all combinations of a segment and a parameter': (i) => ({
    path: Array.from({ length: 11 }, (_, at) => ((i >> (10 - at)) & 1 ? `/:p${at}` : '/a')).join(''),
    access: 'required',
  }),
  'four methods each': (i) => ({ path: `/api/m${i}/:id`, methods, access: 'required' }),
  'four methods a path': (i) => ({
    path: `/api/r${i >> 2}`,
    methods: [methods[i & 3] as string],
    access: 'required',
  }),
  'a method of its own for each rule, on one path': (i) => ({
    path: '/api/:id',
    methods: [`M${i}`],
    access: 'required',
  }),
  'parameters that cross': (i, n) => ({
    path: i < n / 2 ? `/:a/r${i}` : `/s${i}/:b`,
    access: 'required',
  }),
  'parameters that cross, and a scope each': (i, n) => ({
    path: i < n / 2 ? `/:a/r${i}` : `/s${i}/:b`,
    access: 'required',
    scopes: [`scope-${i}`],
  }),
  'exceptions before a wildcard': (i, n) => ({
    path: i === n - 1 ? '/api/*' : `/api/r${i}`,
    access: i === n - 1 ? 'required' : 'public',
  }),
  'letters that fold': (i) => ({ path: `/%C3%A9/R${i}`, access: 'required' }),
}

const gateOf = (rules: readonly RuleOptions[]) =>
  createGate({
    origins: ['https://gateway.example.com'],
    schemes: [fromRequest(() => undefined, { name: 'none' })],
    rules,
  })

describe.each(Object.entries(shapes))('%s', (_, shape) => {
  const rulesOf = (n: number) => Array.from({ length: n }, (_, i) => shape(i, n))

  it('createGate grows with the number of rules', () => {
    expect(
      growth((n) => {
        const rules = rulesOf(n)
        return () => void gateOf(rules)
      }, 300),
    ).toBeLessThan(6)
  })

  it('gate.rules() grows with the number of rules', () => {
    expect(
      growth((n) => {
        const gate = gateOf(rulesOf(n))
        return () => void gate.rules()
      }, 300),
    ).toBeLessThan(6)
  })
})

it('a line lists the first hundred overlaps', () => {
  const crossing: RuleOptions[] = Array.from({ length: 120 }, (_, i) => ({
    path: `/:a/r${i}`,
    access: 'public',
  }))
  const line = gateOf([...crossing, { path: '/s/:b', access: 'required' }])
    .rules()
    .find(({ path, transport }) => path === '/s/:b' && transport === 'http')
  expect(line?.overlaps).toHaveLength(100)
  expect(line?.overlaps?.[0]).toEqual({ rule: 0, path: '/:a/r0', at: '/s/r0' })
})
