// Every JavaScript and TypeScript block in the documentation compiles where users paste it: as TypeScript under `strict`,
// against the built packages, in the oldest and the newest TypeScript that we support. `files` may be named.
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { dieWithChildren, runNode } from '../lib/children.mjs'
import { readDiagnostics, readPrograms } from '../lib/examples.mjs'
import { root } from '../lib/paths.mjs'

/** Packages whose `tsc` compiles all blocks, each in one run. */
const compilers = ['typescript', 'typescript-5']

/** Programs that say what does not compile either, where a consumer of its own would only cost time. */
const pins = 'test/package-checks/types'

dieWithChildren(2000)
const given = process.argv.slice(2)
const files = given.length > 0 ? given : documentation()
const read = files.map((file) => readPrograms(file, readFileSync(join(root, file), 'utf8')))
const programs = read.flatMap((each) => each.programs)
const problems = read.flatMap((each) => each.problems)

// Where the packages resolve that the tests install, and out of every tool's sight.
const cache = join(root, 'test', 'node_modules', '.cache')
mkdirSync(cache, { recursive: true })
const folder = mkdtempSync(join(cache, 'examples-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

/** @type {Map<string, string>} */
const fileOf = new Map()
for (const { file, line, source } of programs) {
  const name = `${file.replaceAll('/', '+').replace(/\.md$/, '')}.${line}.ts`
  fileOf.set(name, file)
  writeFileSync(join(folder, name), source)
}
if (given.length === 0) {
  for (const name of readdirSync(join(root, pins))) {
    fileOf.set(name, `${pins}/${name}`)
    copyFileSync(join(root, pins, name), join(folder, name))
  }
}
writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
writeFileSync(
  join(folder, 'tsconfig.json'),
  JSON.stringify({
    compilerOptions: {
      target: 'es2022',
      lib: ['es2022'],
      module: 'nodenext',
      // Blocks without an import do not see each other.
      moduleDetection: 'force',
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
    },
    files: [...fileOf.keys()],
  }),
)
if (fileOf.size > 0) for (const compiler of compilers) problems.push(...(await compile(compiler)))

if (problems.length > 0) {
  console.error([...new Set(problems)].join('\n'))
  process.exitCode = 1
} else {
  const blocks = programs.reduce((sum, { lines }) => sum + lines.length, 0)
  console.log(`${blocks} blocks in ${programs.length} programs of ${files.length} files compile.`)
}

/**
 * @param {string} compiler
 * @returns {Promise<string[]>} Its messages, about files and lines of the documentation
 */
async function compile(compiler) {
  const place = ['test', '.']
    .map((base) => join(root, base, 'node_modules', compiler))
    .find((at) => existsSync(at))
  if (place === undefined) return [`${compiler} is not installed.`]
  const tsc = join(place, 'bin', 'tsc')
  const { code, output } = await runNode(tsc, ['-p', '.', '--pretty', 'false'], { cwd: folder })
  if (code === 0) return []
  const diagnostics = readDiagnostics(output)
  if (diagnostics.length === 0) return [`${compiler}: ${output}`]
  return diagnostics.flatMap(({ file, line, column, code, message }) => {
    const own = fileOf.get(file)
    const source = own ?? relative(root, join(folder, file))
    // Declarations of others may well be wrong; ours are checked, in whatever way a block reaches them. A syntax
    // error keeps a compiler from looking at anything else.
    const isForeign = own === undefined && /(^|\/)node_modules\//.test(source) && !/^TS1\d{3}$/.test(code)
    return isForeign ? [] : [`${source}:${line}:${column}: ${code}: ${message} (${compiler})`]
  })
}

function documentation() {
  const listed = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'],
    {
      cwd: root,
      encoding: 'utf8',
    },
  )
  // The reference prints declarations, and what docstrings show of a program.
  return listed
    .split('\0')
    .filter((file) => file !== '' && !file.startsWith('docs/api/') && existsSync(join(root, file)))
}
