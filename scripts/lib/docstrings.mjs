/**
 * The examples in the docstrings of a source, each as a module that can be compiled.
 *
 * Public names that an example uses without importing them are imported. The rest of it goes into a function, because
 * examples may `return` and `await`. One that begins with `{ path:` or `rules:` is a rule, or a list of rules.
 *
 * @param {string} source
 * @param {ReadonlyMap<string, string>} entryOf The entry that exports a name
 * @returns {{ line: number, text: string }[]} With the line of the docstring
 */
export function examplesIn(source, entryOf) {
  return [...source.matchAll(/\/\*\*[\s\S]*?\*\//g)].flatMap((comment) => {
    const line = source.slice(0, comment.index).split('\n').length
    return bodiesOf(comment[0]).map((body) => ({ line, text: moduleOf(body, entryOf) }))
  })
}

/** Names that examples use without defining them, and that mean the same in all of them. */
const usual = new Map([
  ['gate', "import('upgate').Gate"],
  ['services', "import('upgate').Services"],
  ['store', "import('upgate').Store"],
  ['server', "import('node:http').Server"],
])

/** @param {string} comment With its stars */
function bodiesOf(comment) {
  /** @type {string[][]} */
  const bodies = []
  let inside = false
  for (const raw of comment.replace(/\s*\*\/$/, '').split('\n')) {
    const line = raw.replace(/^\s*\* ?/, '')
    const tag = /^@(\w+)/.exec(line)?.[1]
    if (tag === 'example') bodies.push([])
    if (tag !== undefined) inside = tag === 'example'
    else if (inside) bodies.at(-1)?.push(line)
  }
  return bodies.map((lines) => lines.join('\n').trim())
}

/**
 * @param {string} body
 * @param {ReadonlyMap<string, string>} entryOf
 */
function moduleOf(body, entryOf) {
  /** @type {string[]} */
  const imports = body.match(/^import .*$/gm) ?? []
  const code = body
    .replace(/^import .*$/gm, '')
    .trim()
    .replace(/^\{ path:/, 'const rule: RuleOptions = { path:')
    .replace(/^rules: /, 'const rules: RuleOptions[] = ')
  // A name in a string, after a dot or before a colon is a text or a property.
  const used = new Set(code.replace(/'[^'\n]*'/g, "''").match(/(?<![.\w])[A-Za-z]\w*\b(?!: )/g))
  const defined = new Set([
    ...imports.flatMap((each) => each.match(/\w+/g) ?? []),
    ...[...code.matchAll(/\b(?:const|let|function) (?:[{[][^}\]]*[}\]]|\w+)/g)].flatMap(
      ([each]) => each.match(/\w+/g) ?? [],
    ),
  ])
  for (const name of used) {
    const entry = entryOf.get(name)
    if (defined.has(name)) continue
    if (entry !== undefined) imports.push(`import { ${name} } from '${entry}'`)
    else if (usual.has(name)) imports.push(`declare const ${name}: ${usual.get(name)}`)
  }
  return [
    ...imports,
    'export async function example(): Promise<unknown> {',
    code,
    'return undefined',
    '}',
  ].join('\n')
}
