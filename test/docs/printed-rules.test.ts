import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createContext, runInContext } from 'node:vm'
import * as upgate from 'upgate'
import * as cloudflareAccess from 'upgate/cloudflare-access'
import * as oauth from 'upgate/oauth'
import * as ws from 'upgate/ws'
import { describe, expect, it } from 'vitest'

const root = new URL('../../', import.meta.url).pathname
const files = [
  'README.md',
  ...readdirSync(`${root}docs`).map((name) => `docs/${name}`),
  ...['packages', 'examples'].flatMap((folder) =>
    readdirSync(root + folder).map((name) => `${folder}/${name}/README.md`),
  ),
].filter((file) => file.endsWith('.md') && existsSync(root + file))

interface Printed {
  readonly where: string
  readonly rules: string
}

/** The lists of rules that a page prints, and rules that it prints on their own. */
function printedIn(file: string): Printed[] {
  const text = readFileSync(root + file, 'utf8')
  const found: Printed[] = []
  for (const block of text.matchAll(/```(?:ts|js|mjs|diff)[^\n]*\n(.*?)```/gs)) {
    // A `diff` block shows a change: only the lines after it count.
    const code = (block[1] as string).replace(/^-.*\n/gm, '').replace(/^\+/gm, ' ')
    const line = text.slice(0, block.index).split('\n').length
    // A rule with a name of its own stands where it is used.
    const named = [...code.matchAll(/\bconst (\w+) = (?=\{ path:)/g)].map(
      (match) => [match[1] as string, balanced(code, match.index + match[0].length)] as const,
    )
    const lists = [...code.matchAll(/\brules(?::| =) \[/g)]
    for (const list of lists) {
      let rules = balanced(code, list.index + list[0].length - 1)
      for (const [name, rule] of named) rules = rules.replace(new RegExp(`\\b${name}\\b`), () => rule)
      found.push({ where: `${file}:${line}`, rules })
    }
    if (lists.length > 0) continue
    const single = [...code.matchAll(/\{\s*path:/g)].map((rule) => balanced(code, rule.index))
    if (single.length > 0) found.push({ where: `${file}:${line}`, rules: `[${single.join(', ')}]` })
  }
  for (const inline of text.matchAll(/`(\{ path: [^`]*\})`/g)) {
    found.push({ where: `${file}: ${inline[1]}`, rules: `[${inline[1]}]` })
  }
  return found.filter(({ rules }) => /access:/.test(rules))
}

/** From a bracket to the one that closes it. Strings in the pages hold no brackets of one sort alone. */
function balanced(code: string, start: number): string {
  let depth = 0
  for (let at = start; at < code.length; at++) {
    if ('[{('.includes(code[at] as string)) depth++
    else if (']})'.includes(code[at] as string) && --depth === 0) return code.slice(start, at + 1)
  }
  return code.slice(start)
}

/** Whatever the page has made before: callable, and an empty list where it is spread. */
const anything: unknown = new Proxy(() => anything, {
  get: (_, name) => (name === Symbol.iterator ? [][Symbol.iterator].bind([]) : anything),
  apply: () => anything,
})
const handshake = ws.upgateHandshake()
const made = { handshake, mine: handshake, FILES_AUD: 'files', ADMIN_AUD: 'admin' }
const known: Record<string, unknown> = { ...upgate, ...cloudflareAccess, ...oauth, ...ws, ...made }

function evaluate(rules: string): upgate.RuleOptions[] {
  const scope = new Proxy(
    {},
    { has: () => true, get: (_, name) => (typeof name === 'string' ? (known[name] ?? anything) : undefined) },
  )
  return runInContext(`(${rules})`, createContext(scope)) as upgate.RuleOptions[]
}

describe('the rules that the documentation prints', () => {
  const printed = files.toSorted().flatMap(printedIn)

  it('are found', () => {
    expect(printed.length).toBeGreaterThan(10)
  })

  it.each(printed.map(({ where, rules }) => [where, rules] as const))('%s', (_, source) => {
    const rules = evaluate(source)
    expect(rules.length).toBeGreaterThan(0)
    const schemes = [...new Set(rules.flatMap((rule) => rule.schemes ?? ['any']))].map((name) => ({
      name,
      ambient: false,
      audiences: rules.flatMap((rule) => rule.audience ?? []),
      verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: 'none' }) as const,
    }))
    expect(() =>
      upgate.createGate({ origins: ['https://gateway.example.com'], schemes, rules }),
    ).not.toThrow()
  })
})
