import { describe, expect, it } from 'vitest'
import { findProblems, readEverywhere, readSources, readTable } from '../checks/rooms.mjs'

const table = `
| folder | contents | imports |
| --- | --- | --- |
| \`core/ports/\` | ports | nothing |
| \`core/decide/\` | the engine | \`core/ports/\`, \`ipaddr.js\` |
| \`node/\` | adapters | \`core/ports/\` |
`
const problemsOf = (sources: Record<string, string[]>) =>
  findProblems(readTable(table), new Map(Object.entries(sources)))

describe('the table of rooms', () => {
  it('lets through listed imports, node: modules outside the core, and public entries', () => {
    expect(
      problemsOf({
        'core/ports/clock.ts': [],
        'core/decide/engine.ts': ['../ports/clock.ts', './prover.ts', 'ipaddr.js'],
        'core/decide/prover.ts': [],
        'node/respond.ts': ['node:http', '../core/ports/clock.ts'],
        'index.ts': ['./node/respond.ts', './core/decide/engine.ts'],
      }),
    ).toEqual([])
  })

  it('refuses an import that is not listed, with the sentence that forbids it', () => {
    expect(problemsOf({ 'core/ports/clock.ts': ['../decide/engine.ts'] })).toEqual([
      'core/ports/clock.ts: imports core/decide/engine.ts. core/ports/ imports: nothing.',
    ])
    expect(problemsOf({ 'core/decide/engine.ts': ['node:crypto'] })).toEqual([
      'core/decide/engine.ts: imports node:crypto. core/decide/ imports: `core/ports/`, `ipaddr.js`.',
    ])
    expect(problemsOf({ 'node/respond.ts': ['../core/portside.ts'] })).toHaveLength(1)
  })

  it('lets every folder import what a sentence says of them', () => {
    const sentence = 'Every folder may import `core/ports/` and `node/`.\n'
    expect(readEverywhere(`${sentence}${table}`)).toEqual(['core/ports', 'node'])
    const sources = new Map([['core/ports/clock.ts', ['../../node/respond.ts']]])
    expect(findProblems(readTable(table), sources, ['node'])).toEqual([])
    expect(findProblems(readTable(table), sources)).toHaveLength(1)
  })

  it('refuses a folder without a row', () => {
    expect(problemsOf({ 'attic/old.ts': [] })).toEqual(['attic/old.ts: its folder has no row in the table.'])
  })

  it('finds cycles, those of types as well', () => {
    const [problem, ...others] = problemsOf({
      'node/a.ts': ['./b.ts'],
      'node/b.ts': ['./c.ts'],
      'node/c.ts': ['./a.ts'],
      'node/d.ts': ['./a.ts'],
    })
    expect(problem).toMatch(/^A cycle of imports: node\/[abc]\.ts -> /)
    expect(others).toEqual([])
  })

  it('reads every kind of import that the sources have', () => {
    const sources = readSources()
    expect(sources.get('index.ts')).toContain('./create-gate.ts')
    expect(sources.size).toBeGreaterThan(150)
    expect(sources.get('core/decide/engine.ts')?.length).toBeGreaterThan(10)
  })
})
