/*
 * A gate and a router that read one path differently are a hole: the gate sees `/public/..%2fadmin`, the router
 * serves `/admin`. Here real routers say which handler a hostile target reaches, and whenever it is a protected
 * one, the gate must not have let an anonymous caller in.
 *
 * `UPGATE_TARGETS` (default: 30,000) and `UPGATE_SEED` make it longer, or another.
 */
import { createGate } from 'upgate'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { protectedPaths, protectedSamples, publicSamples, randomOf, writeTarget } from './path-grammar.ts'
import { type Contender, createContenders, createTree } from './path-routers.ts'

const seed = Number(process.env.UPGATE_SEED ?? 20261128)
const count = Number(process.env.UPGATE_TARGETS ?? 30_000)
const timeout = 60_000 + count

const encode = (path: string): string => path.replace(/[^\x21-\x7e]+/g, encodeURIComponent)

/** Everything that is not protected is public: the hardest case, since any misreading falls open. */
const gate = createGate({
  schemes: [
    {
      name: 'none',
      ambient: false,
      verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: '' }),
    },
  ],
  rules: [
    { path: '/users/:id/avatar', access: 'public' },
    { path: protectedPaths.map(encode), access: 'required' },
    { path: '/*', access: 'public' },
  ],
})

type Decide = (target: string) => string

const decide: Decide = (target) => {
  const decision = gate.decide({
    kind: 'http',
    method: 'GET',
    target,
    headers: { host: '127.0.0.1' },
    rawHeaders: ['Host', '127.0.0.1'],
    encrypted: false,
  })
  return (decision as { outcome: string }).outcome
}

/** A gate that compares protected paths in lower case, as sent: what the routers here must be able to refute. */
const decideNaively: Decide = (target) => {
  const path = target.toLowerCase().replace(/[?#].*/, '')
  const wanted = protectedPaths.map((one) => encode(one).toLowerCase())
  const met = wanted.some((one) =>
    one.endsWith('/*') ? path.startsWith(one.slice(0, -1)) : path === one.replace(':id', '7'),
  )
  return met || decide(target) === 'invalid' ? 'challenge' : 'allow'
}

const segment =
  /^(?!\.{1,2}$)(?:[A-Za-z0-9\-._~!$&'()*+,=:@[\]|^]|%(?:2[0124678-9a-c]|3[ac-e]|40|5[bde]|60|7[b-d]|[89a-f][0-9a-f]))+$/i

/** Whether a path can be read in one way: written without a look at how the gate finds out. */
function isCanonical(target: string): boolean {
  const path = target.replace(/\?.*/s, '')
  if (!path.startsWith('/') || path.length > 8192) return false
  try {
    decodeURIComponent(path)
  } catch {
    return false
  }
  const segments = path.slice(1).split('/')
  return segments.every(
    (one, i) => (segment.test(one) && !/%20$/.test(one)) || (one === '' && i === segments.length - 1),
  )
}

const dropped = (text: string): string => text.replace(/(?<=[a-z])\p{M}+/gu, '')
const folds: readonly ((text: string) => string)[] = [
  (text) => dropped(text.toLowerCase()),
  (text) => dropped(text.toUpperCase().toLowerCase()),
  (text) => dropped(text.toLowerCase().toUpperCase().toLowerCase()),
]

/** Whether some fold makes a canonical path one of the protected ones. */
function isProtectedUnderFold(target: string): boolean {
  const path = decodeURIComponent(target.replace(/\?.*/s, ''))
  const texts = new Set([path, path.normalize('NFC')].flatMap((form) => folds.map((fold) => fold(form))))
  return protectedPaths.some((one) =>
    [one, one.normalize('NFC')]
      .flatMap((form) => folds.map((fold) => fold(form)))
      .some((wanted) =>
        [...texts].some((text) => {
          if (wanted.endsWith('/*')) return `${text}/`.startsWith(wanted.slice(0, -1))
          const pattern = wanted.split('/')
          const actual = text.replace(/(.)\/$/, '$1').split('/')
          return (
            pattern.length === actual.length &&
            pattern.every((name, i) => (name === ':id' ? actual[i] !== '' : name === actual[i]))
          )
        }),
      ),
  )
}

interface Outcome {
  readonly holes: readonly string[]
  readonly refusedForNothing: readonly string[]
  readonly reached: ReadonlyMap<string, number>
  readonly counts: Readonly<Record<string, number>>
}

async function run(decideOne: Decide, contenders: readonly Contender[], targets: number): Promise<Outcome> {
  const random = randomOf(seed)
  const holes: string[] = []
  const refusedForNothing: string[] = []
  const reached = new Map<string, number>()
  const counts: Record<string, number> = { targets, asked: 0, canonical: 0 }
  for (let i = 0; i < targets; i++) {
    const target = writeTarget(random)
    const outcome = decideOne(target)
    counts[outcome] = (counts[outcome] ?? 0) + 1
    if (isCanonical(target)) {
      counts.canonical = (counts.canonical ?? 0) + 1
      if (outcome !== 'allow' && !isProtectedUnderFold(target))
        refusedForNothing.push(`${target} (seed ${seed})`)
    }
    for (const contender of contenders) {
      if (i % contender.every !== 0) continue
      counts.asked = (counts.asked ?? 0) + 1
      const answer = contender.reaches(target)
      if (!(typeof answer === 'boolean' ? answer : await answer)) continue
      reached.set(contender.name, (reached.get(contender.name) ?? 0) + 1)
      if (outcome === 'allow') holes.push(`${contender.name}: ${target} (seed ${seed}, target ${i})`)
    }
  }
  return { holes, refusedForNothing, reached, counts }
}

describe('gate and router', () => {
  const tree = createTree()
  let contenders: readonly Contender[] = []
  beforeAll(async () => {
    contenders = await createContenders(tree.root)
  })
  afterAll(() => tree.remove())

  it('know the same protected handlers, and the same public ones', async () => {
    const strange: string[] = []
    for (const contender of contenders) {
      // Hono's default router takes brackets in a route for those of a regular expression.
      for (const path of protectedSamples)
        if (
          !(contender.name.startsWith('Hono') && path.includes('[')) &&
          !(await contender.reaches(encode(path)))
        )
          strange.push(`${contender.name} misses ${path}`)
      for (const path of publicSamples)
        if (await contender.reaches(encode(path))) strange.push(`${contender.name} protects ${path}`)
    }
    expect(strange).toEqual([])
    expect(protectedSamples.map((path) => decide(encode(path)))).toEqual(
      protectedSamples.map(() => 'challenge'),
    )
    expect(publicSamples.map((path) => decide(encode(path)))).toEqual(publicSamples.map(() => 'allow'))
  })

  it('never disagree so that a protected handler is open', { timeout }, async () => {
    const { holes, refusedForNothing, reached, counts } = await run(decide, contenders, count)
    if (process.env.UPGATE_TARGETS !== undefined) console.log(counts, Object.fromEntries(reached))
    expect(holes.slice(0, 20)).toEqual([])
    expect(refusedForNothing.slice(0, 20)).toEqual([])
    // The test means nothing where hostile targets never arrive.
    for (const { name, every } of contenders)
      expect(reached.get(name) ?? 0, name).toBeGreaterThan(count / every / 20)
    expect(counts.canonical).toBeGreaterThan(count / 10)
    expect(counts.allow).toBeGreaterThan(count / 20)
  })

  it('would be found to disagree, if the gate compared targets as sent', { timeout }, async () => {
    const { holes } = await run(decideNaively, contenders, 5_000)
    const found = new Set(holes.map((hole) => hole.split(':')[0]))
    for (const name of [
      'find-my-way, any case',
      'Hono',
      'koa-static',
      'express.static of Express 5',
      'sirv, dev false',
    ])
      expect([...found]).toContain(name)
  })
})
