import { describe, expect, it } from 'vitest'
import { examplesIn } from '../lib/docstrings.mjs'

const entryOf = new Map([
  ['createGate', 'upgate'],
  ['apiKey', 'upgate'],
  ['RuleOptions', 'upgate'],
])
const read = (comment: string) => examplesIn(`const before = 1\n\n${comment}\nexport {}`, entryOf)

describe('examples in docstrings', () => {
  it('become modules that import the public names they use, with the line of their docstring', () => {
    const [example] = read(
      "/**\n * Creates.\n *\n * @param a - b\n * @example\n * const gate = createGate({ name: 'apiKey' })\n * @throws TypeError\n */",
    )
    expect(example?.line).toBe(3)
    expect(example?.text.split('\n')).toEqual([
      "import { createGate } from 'upgate'",
      'export async function example(): Promise<unknown> {',
      "const gate = createGate({ name: 'apiKey' })",
      'return undefined',
      '}',
    ])
  })

  it('keep their own imports and definitions', () => {
    const [example] = read(
      "/**\n * @example\n * import { apiKey } from 'elsewhere'\n * const { createGate } = other\n * createGate(apiKey)\n */",
    )
    expect(example?.text).not.toContain("from 'upgate'")
    expect(example?.text).toContain("import { apiKey } from 'elsewhere'")
  })

  it('may be a rule, and a docstring may have several', () => {
    const found = read(
      "/**\n * @example\n * { path: '/ws', access: 'deferred' }\n * @example\n * gate.close()\n */",
    )
    expect(found).toHaveLength(2)
    expect(found[0]?.text).toContain("const rule: RuleOptions = { path: '/ws', access: 'deferred' }")
    expect(found[1]?.text).toContain("declare const gate: import('upgate').Gate")
  })
})
