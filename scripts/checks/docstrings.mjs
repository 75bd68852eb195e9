// Every public function of the library documents its parameters and shows an example, and the examples in docstrings
// compile against the sources. An example is a fragment: it may use names that it does not define.
import { join, relative } from 'node:path'
import ts from 'typescript-5'
import { examplesIn } from '../lib/docstrings.mjs'
import { readJson, root } from '../lib/paths.mjs'

const library = join(root, 'packages', 'upgate')
/** Names that no example defines are the reader's: no import, no type, no property shorthand has to exist. */
const undefinedNames = new Set([2304, 2503, 2552, 2582, 2593, 18004])

/** @type {string[]} */
const problems = []
const entries = Object.entries(readJson(join(library, 'package.json')).exports)
  .filter(([, target]) => target['@upgate/source'] !== undefined)
  .map(([path, target]) => ({
    name: `upgate${path.slice(1)}`,
    file: join(library, target['@upgate/source']),
  }))

/** @type {import('typescript-5').CompilerOptions} */
const options = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.esnext.d.ts', 'lib.dom.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleDetection: ts.ModuleDetectionKind.Force,
  customConditions: ['@upgate/source'],
  allowImportingTsExtensions: true,
  types: ['node'],
  strict: true,
  noImplicitAny: false,
  exactOptionalPropertyTypes: true,
  skipLibCheck: true,
  noEmit: true,
}

const sources = ts.createProgram(
  entries.map(({ file }) => file),
  options,
)
const checker = sources.getTypeChecker()
/** The entry that exports a name; the main one comes first. @type {Map<string, string>} */
const entryOf = new Map()
/** @type {Set<ts.Symbol>} */
const seen = new Set()
for (const { name: entry, file } of entries) {
  const source = /** @type {ts.SourceFile} */ (sources.getSourceFile(file))
  if (!/@example[\s\S]*@module/.test(source.text.slice(0, source.text.indexOf('*/')))) {
    problems.push(
      `${relative(root, file)}: the entry must begin with a comment that has @example and @module.`,
    )
  }
  const module = checker.getSymbolAtLocation(source)
  for (const exported of module === undefined ? [] : checker.getExportsOfModule(module)) {
    if (!entryOf.has(exported.name)) entryOf.set(exported.name, entry)
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
    if (seen.has(symbol)) continue
    seen.add(symbol)
    for (const fault of faultsOf(symbol)) problems.push(`${placeOf(symbol)} ${symbol.name}: ${fault}`)
  }
}

/** Each example as a module of its own, in memory, where the packages resolve. @type {Map<string, { place: string, text: string }>} */
const examples = new Map()
for (const source of sources.getSourceFiles()) {
  if (source.isDeclarationFile || !source.fileName.startsWith(join(library, 'src').replaceAll('\\', '/')))
    continue
  for (const { line, text } of examplesIn(source.text, entryOf)) {
    const place = `${relative(root, source.fileName)}:${line}`
    examples.set(join(root, 'test', `example-${examples.size}.ts`).replaceAll('\\', '/'), { place, text })
  }
}
const host = ts.createCompilerHost(options)
const { getSourceFile, fileExists, readFile } = host
host.fileExists = (file) => examples.has(file) || fileExists(file)
host.readFile = (file) => examples.get(file)?.text ?? readFile(file)
host.getSourceFile = (file, ...rest) => {
  const example = examples.get(file)
  if (example !== undefined) return ts.createSourceFile(file, example.text, ts.ScriptTarget.ES2022, true)
  return sources.getSourceFile(file) ?? getSourceFile(file, ...rest)
}
const program = ts.createProgram([...examples.keys()], options, host)
for (const [file, { place }] of examples) {
  const source = program.getSourceFile(file)
  for (const found of [
    ...program.getSyntacticDiagnostics(source),
    ...program.getSemanticDiagnostics(source),
  ]) {
    if (undefinedNames.has(found.code)) continue
    const said = ts.flattenDiagnosticMessageText(found.messageText, ' ')
    const at = source?.text.slice(found.start, (found.start ?? 0) + (found.length ?? 0)).split('\n')[0]
    problems.push(`${place}: the example does not compile, at \`${at}\`: ${said}`)
  }
}

if (problems.length > 0) {
  console.error(problems.join('\n'))
  process.exitCode = 1
} else {
  console.log(`${examples.size} examples in docstrings compile; ${seen.size} exported names are documented.`)
}

/**
 * Parts that the docstring of an exported name lacks.
 *
 * @param {ts.Symbol} symbol
 */
function faultsOf(symbol) {
  const text = (symbol.declarations ?? [])
    .map((each) => (ts.isVariableDeclaration(each) ? each.parent.parent : each))
    .flatMap((each) => ts.getJSDocCommentsAndTags(each).filter(ts.isJSDoc))
    .map((each) => each.getText())
    .join('\n')
  if (text === '') return ['has no docstring.']
  const [signature] =
    symbol.flags & ts.SymbolFlags.Value ? checker.getTypeOfSymbol(symbol).getCallSignatures() : []
  if (signature === undefined) return []
  const missing = signature.parameters
    .filter(({ name }) => !new RegExp(`@param ${name}\\b`).test(text))
    .map(({ name }) => `the docstring lacks \`@param ${name} - ...\`.`)
  return text.includes('@example') ? missing : [...missing, 'the docstring lacks an `@example`.']
}

/** @param {ts.Symbol} symbol */
function placeOf(symbol) {
  const declaration = symbol.declarations?.[0]
  if (declaration === undefined) return '?'
  const source = declaration.getSourceFile()
  const { line } = source.getLineAndCharacterOfPosition(declaration.getStart())
  return `${relative(root, source.fileName)}:${line + 1}`
}
