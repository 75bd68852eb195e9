/* A gate remembers the rules of targets that came of late. These rules must never decide another request: one with
   another method, an upgrade, another case, or a target that was rewritten on the way. */
import type { AuthRequest, Gate } from 'upgate'
import { describe, expect, it } from 'vitest'
import type { CompiledRule } from '../../src/core/contract/rules.ts'
import { RecentTargets } from '../../src/core/rules/recent-targets.ts'
import { handshake, makeGate, request, upgrade } from './fixtures.ts'
import { seeded } from './seeded.ts'

const rule = { label: 'a rule' } as CompiledRule
const often = 64

function offered(target: string): CompiledRule | undefined {
  const recent = new RecentTargets()
  for (let i = 0; i < often; i++) recent.offer(target, rule)
  return recent.get(target)
}

describe('the rules of targets that came of late', () => {
  it.each(['/', '', '/a', '/api/items', '/__proto__', '/caf%C3%A9', `/${'x'.repeat(127)}`])(
    'keep %j',
    (target) => {
      expect(offered(target)).toBe(rule)
    },
  )

  it.each(['/api/items?token=secret', '/?', `/${'x'.repeat(128)}`])('do not keep %j', (target) => {
    expect(offered(target)).toBeUndefined()
  })

  it('are those of the same target, letter by letter', () => {
    const recent = new RecentTargets()
    expect(recent.get('')).toBeUndefined()
    for (let i = 0; i < often; i++) recent.offer('/api/items', rule)
    for (const other of [
      '/api/Items',
      '/api/items/',
      '/api/itemz',
      '/apj/items',
      '/api/items?',
      '//api/items',
    ])
      expect(recent.get(other)).toBeUndefined()
  })

  it('are few, however many targets come', () => {
    const recent = new RecentTargets()
    const targets = Array.from({ length: 50_000 }, (_, i) => `/items/${i}`)
    for (const target of targets) recent.offer(target, rule)
    expect(targets.filter((target) => recent.get(target) !== undefined).length).toBeLessThanOrEqual(256)
  })
})

const rules = [
  { path: '/health', access: 'public' },
  { path: '/assets/*', access: 'public' },
  { path: '/feed', access: 'public', methods: ['GET'] },
  { path: '/feed', access: 'required', scopes: ['write'] },
  { path: '/ws', access: 'deferred', handshake },
  { path: '/live', access: 'public', upgrade: true },
  { path: '/share/:id', access: 'public' },
  { path: '/share/:id/keys', access: 'required', scopes: ['keys'] },
  { path: '/docs/private', access: 'required', scopes: ['docs'] },
  { path: '/docs/*', access: 'public' },
  ...Array.from(
    { length: 12 },
    (_, i) => ({ path: `/many/r${i}`, access: i % 2 ? 'public' : 'required' }) as const,
  ),
] as const

/** Targets of which many share the place that they are remembered in. */
const targets = [
  '/health',
  '/Health',
  '/health/',
  '/assets/a',
  '/assets/../docs/private',
  '/assets',
  '/feed',
  '/feed?x',
  '/ws',
  '/live',
  '/share/1',
  '/share/2',
  '/share/',
  '/share/1/keys',
  '/share/%2e%2e/keys',
  '/docs/a',
  '/docs/private',
  '/docs/Private',
  '/docs/private/',
  '/docs//private',
  '/many/r1',
  '/many/r2',
  '/many/r11',
  '/many/r12',
  '/many/R1',
  '/many/',
  '/many',
  '/',
  '/__proto__',
  '/constructor',
  '//health',
  '/x',
  'http://h/health',
  '*',
]

async function ruled(gate: Gate, made: AuthRequest): Promise<string> {
  const decision = await gate.decide(made)
  const { rule } = decision
  return `${decision.outcome} ${'code' in decision ? decision.code : ''} under ${rule?.label}`
}

describe('a gate that has seen many requests', () => {
  it('decides as a new one, whatever came before', async () => {
    const old = makeGate({ rules })
    const random = seeded(7)
    const any = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
    const expected = new Map<string, string>()
    const differ: string[] = []
    for (let i = 0; i < 2_000; i++) {
      const target = any(targets)
      const more = random() < 0.2 ? { rewrittenTarget: any(targets.slice(0, 6)) } : {}
      const method = any(['GET', 'GET', 'GET', 'HEAD', 'POST'])
      const made = random() < 0.2 ? { ...upgrade(target), ...more } : request(target, { method, ...more })
      const key = JSON.stringify([made.kind, made.method, target, made.rewrittenTarget])
      let alone = expected.get(key)
      if (alone === undefined) {
        alone = await ruled(makeGate({ rules }), made)
        expected.set(key, alone)
      }
      const now = await ruled(old, made)
      if (now !== alone) differ.push(`${key}: ${now}, and not ${alone}`)
    }
    expect(differ).toEqual([])
    expect(new Set(expected.values()).size).toBeGreaterThan(4)
  })
})
