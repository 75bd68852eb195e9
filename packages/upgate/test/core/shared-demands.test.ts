/* Thousands of rules differ in their paths alone, so the options of rules that are alike are read once. A rule that was taken
   for one like another, and was not, would be opened by it: what counts as alike is tested here, option by option. */
import { createGate, type RuleOptions } from 'upgate'
import { upgateHandshake } from 'upgate/ws'
import { expect, it } from 'vitest'
import { keyScheme } from './fixtures.ts'

const key = keyScheme({})
const gateOf = (...rules: unknown[]) =>
  createGate({ origins: ['https://gateway.example.com'], schemes: [key], rules: rules as RuleOptions[] })
/** The lines of one rule, apart from its number. */
const linesOf = (gate: ReturnType<typeof gateOf>, path: string) =>
  gate
    .rules()
    .filter((line) => line.path === path)
    .map(({ rule: _, ...line }) => line)

const base = { access: 'required', scopes: ['a'] }
const variants: readonly (readonly [name: string, options: object])[] = [
  ['another access', { access: 'optional', scopes: ['a'] }],
  ['another scope', { access: 'required', scopes: ['b'] }],
  ['one scope more', { access: 'required', scopes: ['a', 'b'] }],
  ['no scopes', { access: 'required' }],
  ['roles in the place of scopes', { access: 'required', roles: ['a'] }],
  ['roles besides', { ...base, roles: ['a'] }],
  ['other kinds', { ...base, kinds: ['device'] }],
  ['named schemes', { ...base, schemes: [key.name] }],
  ['methods', { ...base, methods: ['GET'] }],
  ['other methods', { ...base, methods: ['POST'] }],
  ['HTTP alone', { ...base, upgrade: false }],
  ['upgrades alone', { ...base, upgrade: 'only' }],
  ['every origin', { ...base, anyOrigin: true }],
  ['a document', { access: 'public', document: { a: 1 } }],
  ['no document', { access: 'public' }],
  ['a handshake', { access: 'deferred', handshake: upgateHandshake() }],
  ['an option that is undefined', { ...base, methods: undefined }],
]

it.each(variants)('%s: a rule after others is read as it is alone', (_, options) => {
  const others = variants.map(([, other], i) => ({ path: `/other-${i}`, ...other }))
  const gate = gateOf({ path: '/base', ...base }, { path: '/variant', ...options }, ...others, {
    path: '/again',
    ...options,
  })
  expect(linesOf(gate, '/variant')).toEqual(linesOf(gateOf({ path: '/variant', ...options }), '/variant'))
  expect(linesOf(gate, '/again')).toEqual(linesOf(gateOf({ path: '/again', ...options }), '/again'))
  expect(linesOf(gate, '/base')).toEqual(linesOf(gateOf({ path: '/base', ...base }), '/base'))
})

it('reads options that are inherited, hidden from enumeration or computed', () => {
  class Protected {
    readonly access = 'required'
    readonly path: string
    constructor(path: string) {
      this.path = path
    }
    get scopes(): string[] {
      return [`scope of ${this.path}`]
    }
  }
  const hidden = Object.defineProperty({ path: '/hidden', access: 'required' }, 'scopes', {
    value: ['hidden'],
  })
  let calls = 0
  const changing = {
    path: '/changing',
    access: 'required',
    get scopes() {
      return [`call ${++calls}`]
    },
  }
  const gate = gateOf(
    { path: '/open', access: 'required' },
    new Protected('/one'),
    new Protected('/two'),
    hidden,
    changing,
    { path: '/last', access: 'required', scopes: ['call 1'] },
    { path: '/end', access: 'required' },
  )
  const scopes = gate.rules().flatMap((line) => (line.transport === 'http' ? [[line.path, line.scopes]] : []))
  expect(scopes.slice(0, 4)).toEqual([
    ['/open', undefined],
    ['/one', ['scope of /one']],
    ['/two', ['scope of /two']],
    ['/hidden', ['hidden']],
  ])
  expect(scopes.at(-3)).toEqual(['/last', ['call 1']])
  expect(scopes.at(-2)).toEqual(['/end', undefined])
  expect(scopes[4]?.[1]).toEqual([`call ${calls}`])
})

it('names the rule with a mistake, wherever it is', () => {
  const many = (n: number) => Array.from({ length: n }, (_, i) => ({ path: `/r${i}`, ...base }))
  expect(() => gateOf(...many(50), { path: '/x', access: 'required', scopes: [''] })).toThrow(
    'createGate: `rules[50]`: `scopes` must be a non-empty list of names.',
  )
  expect(() => gateOf(...many(50), { path: '/x', ...base, scope: ['a'] })).toThrow(
    'createGate: `rules[50]`: unknown option `scope`. Did you mean `scopes`?',
  )
  expect(() => gateOf(...many(50), { path: '/x/../y', ...base })).toThrow(
    'createGate: `rules[50]`: the path pattern "/x/../y" is not in canonical form',
  )
  expect(() => gateOf(...many(50), { path: 7, ...base })).toThrow(
    'createGate: `rules[50]`: a path pattern must be a string',
  )
  expect(() => gateOf(...many(50), { path: [], ...base })).toThrow('`rules[50]`: `path` is an empty list')
  expect(() => gateOf(...many(50), { ...base })).toThrow('`rules[50]`: a path pattern must be a string')
  expect(() => gateOf(...many(50), undefined)).toThrow('`rules[50]` must be an object')
  expect(() =>
    gateOf({ path: '/x', access: 'public' }, { path: '/y', access: 'public', document: 7 }),
  ).toThrow('`rules[1]`: `document` must be an object')
})

it('finds rules that are alike again after many that are not', () => {
  const rules = Array.from({ length: 200 }, (_, i) => ({
    path: `/r${i}`,
    access: 'required',
    scopes: [i < 100 ? `scope-${i}` : `scope-${i % 3}`],
  }))
  const gate = gateOf(...rules)
  for (const { path, scopes } of rules) expect(linesOf(gate, path)[0]?.scopes).toEqual(scopes)
})

it.each([2, 40])(
  'a list that the application changes later changes no rule, the first or the %ith',
  (nth) => {
    const lists = Array.from({ length: nth }, (_, i) => ({
      scopes: [`s${i}`],
      kinds: ['user'],
      roles: ['r'],
    }))
    const gate = gateOf(...lists.map((list, i) => ({ path: `/r${i}`, access: 'required', ...list })))
    const before = JSON.stringify(gate.rules())
    for (const list of lists) for (const entries of Object.values(list)) entries.push('more')
    expect(JSON.stringify(gate.rules())).toBe(before)
  },
)
