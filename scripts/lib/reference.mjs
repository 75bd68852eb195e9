import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript-5'
import { publishedPackages, readJson, root } from './paths.mjs'

/**
 * The reference of the published packages, from the declarations that the build emits: one Markdown file for each entry,
 * and an index. Exports are followed by the compiler's symbols, so that it says the same wherever a declaration is kept.
 *
 * @typedef {{ name: string, file: string, source: ts.SourceFile }} Entry
 * @typedef {{ name: string, symbol: ts.Symbol, isValue: boolean, home: Entry, anchor: string }} Exported
 *
 * @returns {Map<string, string>} The text of each file, by its name
 */
export function writeReference() {
  const listed = publishedPackages().flatMap(entriesOf)
  const program = ts.createProgram(
    listed.map(({ types }) => types),
    // The declarations are printed as they stand: nothing of the language's own library needs to be known.
    { module: ts.ModuleKind.NodeNext, noLib: true, noResolve: false, types: [], skipLibCheck: true },
  )
  const checker = program.getTypeChecker()
  const entries = listed.map(({ name, types }) => {
    const source = program.getSourceFile(types)
    if (source === undefined) throw new Error(`${types} is missing: build first.`)
    return { name, file: `${name.replace('@', '').replaceAll('/', '.')}.md`, source }
  })
  /** What each entry exports; what several export is described by the first of them. @type {Map<Entry, Exported[]>} */
  const exportsOf = new Map()
  /** @type {Map<ts.Symbol, Exported>} */
  const homes = new Map()
  for (const entry of entries) {
    const module = checker.getSymbolAtLocation(entry.source)
    if (module === undefined) throw new Error(`${entry.name} exports nothing.`)
    const found = checker.getExportsOfModule(module).map((each) => {
      const symbol = each.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(each) : each
      const isValue = (symbol.flags & ts.SymbolFlags.Value) !== 0
      return { name: each.name, symbol, isValue, home: entry, anchor: '' }
    })
    found.sort((a, b) => Number(b.isValue) - Number(a.isValue) || compare(a.name, b.name))
    /** GitHub numbers headings that read alike. @type {Map<string, number>} */
    const seen = new Map()
    for (const each of found) {
      const slug = each.name.toLowerCase()
      const count = seen.get(slug) ?? 0
      seen.set(slug, count + 1)
      each.anchor = count === 0 ? slug : `${slug}-${count}`
      if (!homes.has(each.symbol)) homes.set(each.symbol, each)
    }
    exportsOf.set(entry, found)
  }

  const texts = new Map([['README.md', index(entries, exportsOf)]])
  for (const entry of entries) texts.set(entry.file, page(entry, exportsOf.get(entry) ?? [], homes, checker))
  return texts
}

/** @param {{ folder: string, name: string }} published */
function entriesOf({ folder, name }) {
  const { exports } = readJson(join(root, folder, 'package.json'))
  return Object.entries(exports)
    .filter(([, target]) => target?.types !== undefined)
    .map(([path, { types }]) => ({ name: name + path.slice(1), types: join(root, folder, types) }))
}

/**
 * @param {readonly Entry[]} entries
 * @param {Map<Entry, Exported[]>} exportsOf
 */
function index(entries, exportsOf) {
  const rows = entries.map((entry) => {
    const values = (exportsOf.get(entry) ?? []).filter(({ isValue }) => isValue)
    return `| [\`${entry.name}\`](${entry.file}) | ${values.map(({ name, anchor }) => `[\`${name}\`](${entry.file}#${anchor})`).join(', ')} |`
  })
  return `# Reference

Every exported name with its declaration and its docstring. These files are generated: change a docstring, then say
\`npm run build && node scripts/reference.mjs\`.

| Entry | Functions, classes and constants |
| --- | --- |
${rows.join('\n')}
`
}

/**
 * @param {Entry} entry
 * @param {readonly Exported[]} found
 * @param {Map<ts.Symbol, Exported>} homes
 * @param {ts.TypeChecker} checker
 */
function page(entry, found, homes, checker) {
  const known = new Map(found.map((each) => [each.name, homes.get(each.symbol) ?? each]))
  const inText = (/** @type {string} */ text) => linked(text, known, entry)
  const parts = [`# \`${entry.name}\``]
  const about = moduleComment(entry.source)
  if (about !== undefined) parts.push(docstring(about, inText))
  for (const [title, isValue] of /** @type {const} */ ([
    ['Functions, classes and constants', true],
    ['Types', false],
  ])) {
    const group = found.filter((each) => each.isValue === isValue)
    if (group.length > 0) parts.push(`## ${title}`)
    for (const each of group) {
      parts.push(`### \`${each.name}\``)
      const home = homes.get(each.symbol) ?? each
      if (home.home === entry) parts.push(...description(each, homes, checker, entry, inText))
      else parts.push(`As in [\`${home.home.name}\`](${home.home.file}#${home.anchor}).`)
    }
  }
  return `${parts.join('\n\n')}\n`
}

/**
 * @param {Exported} exported
 * @param {Map<ts.Symbol, Exported>} homes
 * @param {ts.TypeChecker} checker
 * @param {Entry} entry
 * @param {(text: string) => string} inText
 */
function description({ name, symbol }, homes, checker, entry, inText) {
  const declarations = symbol.declarations ?? []
  /** @type {string[]} */
  const parts = []
  for (const declaration of declarations) {
    // Of `const a: T` the statement has the docstring.
    const statement = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
    const comment = ts.getJSDocCommentsAndTags(statement).find(ts.isJSDoc)
    parts.push(`\`\`\`ts\n${declared(statement)}\n\`\`\``)
    if (comment !== undefined) parts.push(docstring(comment.getText(), inText))
  }
  /** @type {Map<string, Exported>} */
  const used = new Map()
  const visit = (/** @type {ts.Node} */ node) => {
    if (ts.isIdentifier(node)) {
      const found = checker.getSymbolAtLocation(node)
      const meant =
        found !== undefined && found.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(found) : found
      const home = meant === undefined ? undefined : homes.get(meant)
      if (home !== undefined && home.name !== name) used.set(home.name, home)
    }
    ts.forEachChild(node, visit)
  }
  for (const declaration of declarations) visit(declaration)
  if (used.size > 0) {
    const links = [...used.values()].sort((a, b) => compare(a.name, b.name)).map((home) => link(home, entry))
    parts.push(`See ${links.join(', ')}.`)
  }
  return parts
}

/** A declaration as it is emitted, with the docstrings of its members. @param {ts.Node} node */
function declared(node) {
  return node
    .getText()
    .replace(/^export /, '')
    .replace(/^declare /, '')
    .replace(/^(?: {4})+/gm, (indent) => '  '.repeat(indent.length / 4))
    .replace(/^ +(?:#private|private [^\n]*);\n/gm, '')
}

/** The comment of a module, which stands above its first export. @param {ts.SourceFile} source */
function moduleComment(source) {
  const text = readFileSync(source.fileName, 'utf8')
  return (ts.getLeadingCommentRanges(text, 0) ?? [])
    .map(({ pos, end }) => text.slice(pos, end))
    .find((comment) => comment.startsWith('/**') && /@module\b/.test(comment))
}

/** What docstrings may say by tags, the text above them included. */
const tags = new Set(['', 'module', 'param', 'returns', 'throws', 'example'])

/**
 * A docstring as Markdown.
 *
 * @param {string} comment With its stars
 * @param {(text: string) => string} inText
 */
function docstring(comment, inText) {
  const lines = comment
    .replace(/^\/\*\*\s?/, '')
    .replace(/\s*\*\/$/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
  /** @type {{ tag: string, lines: string[] }[]} */
  const sections = [{ tag: '', lines: [] }]
  for (const line of lines) {
    const [, tag, rest = ''] = /^@(\w+)\s*(.*)$/.exec(line) ?? []
    if (tag === undefined) sections.at(-1)?.lines.push(line)
    else sections.push({ tag, lines: [rest] })
  }
  const unknown = sections.find(({ tag }) => !tags.has(tag))
  if (unknown !== undefined) {
    throw new Error(
      `The reference knows no @${unknown.tag}: ${lines[0]} Say in scripts/lib/reference.mjs how it is printed.`,
    )
  }
  const text = (/** @type {string[]} */ each) => inText(each.join('\n').trim())
  const of = (/** @type {string} */ tag) => sections.filter((section) => section.tag === tag)
  const params = of('param').map(({ lines }) => {
    const [, name, said = ''] = /^(\S+)\s*(?:-\s*)?([\s\S]*)$/.exec(lines.join('\n').trim()) ?? []
    return `- \`${name}\`: ${inText(said).replaceAll('\n', '\n  ')}`
  })
  return [
    text(sections[0]?.lines ?? []),
    params.join('\n'),
    ...of('returns').map(({ lines }) => `Returns ${text(lines)}`),
    ...of('throws').map(({ lines }) => `Throws ${text(lines)}`),
    ...of('example').map(({ lines }) => `\`\`\`ts\n${lines.join('\n').replace(/^\n+|\s+$/g, '')}\n\`\`\``),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/**
 * @param {string} text
 * @param {Map<string, Exported>} known
 * @param {Entry} entry
 */
function linked(text, known, entry) {
  return text.replace(/\{@link\s+([^}|\s]+)[^}]*\}/g, (_matched, /** @type {string} */ name) => {
    const home = known.get(name)
    return home === undefined ? `\`${name}\`` : link(home, entry)
  })
}

/**
 * @param {Exported} exported
 * @param {Entry} from
 */
function link({ name, home, anchor }, from) {
  return `[\`${name}\`](${home === from ? '' : home.file}#${anchor})`
}

/** By code units: the same order on every machine. @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0
}
