// What is published is what is checked: every public package is packed as npm would upload it, looked into,
// installed into an empty folder, imported, and type-checked the way its users do.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dieWithChildren, run, runNode } from '../lib/children.mjs'
import { npm } from '../lib/install.mjs'
import { publishedPackages, readJson, root, tool } from '../lib/paths.mjs'

const consumers = join(root, 'test', 'package-checks', 'consumers')
const folder = mkdtempSync(join(tmpdir(), 'upgate-package-'))
/** @type {string[]} */
const problems = []

// Sooner than whoever runs this check would kill it, and leave its children behind.
dieWithChildren(2000)
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const packed = await Promise.all(publishedPackages().map((published) => pack(published)))
for (const { name, files } of packed) checkFiles(name, files)
await Promise.all([
  lint(packed),
  ...readdirSync(consumers).map((consumer) => checkConsumer(consumer, packed)),
])
if (problems.length > 0) {
  console.error(problems.join('\n\n'))
  process.exitCode = 1
}

/**
 * @typedef {{ name: string, tarball: string, files: string[], manifest: any }} Packed
 * @param {{ folder: string, name: string }} published
 * @returns {Promise<Packed>}
 */
async function pack({ folder: source, name }) {
  const [command, args] = npm([
    'pack',
    '--json',
    '--ignore-scripts',
    '--loglevel=error',
    '--pack-destination',
    folder,
  ])
  const { code, output } = await run(command, args, { cwd: join(root, source) })
  if (code !== 0) throw new Error(`npm pack ${name} failed:\n${output}`)
  const [details] = Object.values(JSON.parse(output.slice(output.search(/^[[{]/m))))
  return {
    name,
    tarball: join(folder, details.filename),
    files: details.files.map((/** @type {{ path: string }} */ file) => file.path),
    manifest: readJson(join(root, source, 'package.json')),
  }
}

/** @param {Packed[]} packed */
async function lint(packed) {
  for (const { name, tarball } of packed) {
    await must(`publint ${name}`, runNode(tool('publint'), ['run', tarball, '--strict'], { cwd: root }))
    const types = ['--profile', 'esm-only', '--format', 'ascii', '--no-emoji', tarball]
    await must(`attw ${name}`, runNode(tool('@arethetypeswrong/cli', 'attw'), types, { cwd: root }))
  }
}

/**
 * @param {string} name
 * @param {string[]} files
 */
function checkFiles(name, files) {
  for (const file of ['package.json', 'README.md', 'LICENSE']) {
    if (!files.includes(file)) problems.push(`${name}: ${file} is missing from the tarball`)
  }
  for (const file of files) {
    if (/\.tsbuildinfo$|(^|\/)test\/|\.test\.|(^|\/)tsconfig/.test(file))
      problems.push(`${name}: ${file} does not belong in the tarball`)
    // A source map or declaration map that points at a missing source is worse than none.
    if (
      /^dist\/.*\.js$/.test(file) &&
      !files.includes(file.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts'))
    ) {
      problems.push(`${name}: ${file} has no source any more: remove dist and build again`)
    }
  }
}

/**
 * Installs the tarballs and what `consumer.json` names, and nothing else; then type-checks and runs the program.
 *
 * @param {string} name
 * @param {Packed[]} packed
 */
async function checkConsumer(name, packed) {
  const source = join(consumers, name)
  const target = join(folder, name)
  mkdirSync(target)
  cpSync(source, target, { recursive: true })
  /** @type {{ with: string[], cannotImport: string[], compilers: string[] }} */
  const { with: extra, cannotImport, compilers } = readJson(join(source, 'consumer.json'))
  const dependencies = Object.fromEntries(extra.map((dependency) => [dependency, '*']))
  writeFileSync(join(target, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }))

  // The dependencies come from our own node_modules: offline, and in the versions that were tested.
  for (const [dependency, place] of closure([...packed.flatMap(needs), ...extra])) {
    cpSync(place, join(target, 'node_modules', dependency), { recursive: true })
  }
  const flags = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const [command, args] = npm(['install', ...flags, ...packed.map(({ tarball }) => tarball)])
  if (!(await must(`consumer ${name}: npm install`, run(command, args, { cwd: target })))) return

  const wanted = packed.flatMap(({ name, manifest }) =>
    Object.keys(manifest.exports)
      .filter((entry) => !entry.endsWith('.json'))
      .map((entry) => name + entry.slice(1)),
  )
  writeFileSync(join(target, 'imports.mjs'), importer(wanted, cannotImport))
  const typed = wanted.filter((entry) => !cannotImport.includes(entry))
  writeFileSync(
    join(target, 'types.ts'),
    typed.map((entry, n) => `export type * as entry${n} from '${entry}'\n`).join(''),
  )
  await must(`consumer ${name}: import every entry`, runNode('imports.mjs', [], { cwd: target }))
  for (const compiler of compilers) {
    const tsc = join(find(compiler) ?? '', 'bin', 'tsc')
    await must(`consumer ${name}: ${compiler}`, runNode(tsc, ['-p', '.'], { cwd: target }))
  }
  await must(`consumer ${name}: run main.ts`, runNode(join('out', 'main.js'), [], { cwd: target }))
}

/**
 * @param {string[]} entries
 * @param {string[]} cannotImport Entries whose optional peer is not installed: they must say so by its name
 */
function importer(entries, cannotImport) {
  return `const refused = ${JSON.stringify(cannotImport)}
for (const entry of ${JSON.stringify(entries)}) {
  try {
    const names = Object.keys(await import(entry))
    if (refused.includes(entry)) throw new Error(entry + ' was expected to miss an optional peer')
    if (names.length === 0) throw new Error(entry + ' exports nothing')
  } catch (error) {
    if (!refused.includes(entry) || error.code !== 'ERR_MODULE_NOT_FOUND') throw error
  }
}
`
}

/**
 * Packages and everything they depend on, with their folders.
 *
 * @param {string[]} names
 */
function closure(names) {
  /** @type {Map<string, string>} */
  const found = new Map()
  const queue = [...names]
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (found.has(name)) continue
    const place = find(name)
    if (place === undefined) throw new Error(`${name} is not installed in the repository`)
    found.set(name, place)
    queue.push(...Object.keys(readJson(join(place, 'package.json')).dependencies ?? {}))
  }
  return found
}

/** @param {Packed} packed */
function needs({ manifest }) {
  return Object.keys(manifest.dependencies ?? {})
}

/** @param {string} name */
function find(name) {
  for (const base of [join(root, 'test'), root]) {
    const place = join(base, 'node_modules', name)
    try {
      readFileSync(join(place, 'package.json'))
      return place
    } catch {
      // Not there; maybe hoisted.
    }
  }
  return undefined
}

/**
 * @param {string} what
 * @param {ReturnType<typeof run>} outcome
 */
async function must(what, outcome) {
  const { code, output } = await outcome
  if (code !== 0) problems.push(`${what} failed:\n${output.trimEnd()}`)
  return code === 0
}
