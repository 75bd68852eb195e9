// Checks the packages as published: every public package is packed as npm would upload it, looked into, installed into an
// empty folder alone and measured; the command is used there; and all of them are imported and type-checked the way their
// users do.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dieWithChildren, run, runNode } from '../lib/children.mjs'
import { npm } from '../lib/install.mjs'
import { installAlone, useCommand } from '../lib/installed-alone.mjs'
import { publishedPackages, readJson, root, tool } from '../lib/paths.mjs'
import { copyPublished } from '../lib/published.mjs'

const consumers = join(root, 'test', 'package-checks', 'consumers')
const folder = mkdtempSync(join(tmpdir(), 'upgate-package-'))
/** @type {string[]} */
const problems = []

// Sooner than the parent process kills this check, which would leave its children behind.
dieWithChildren(2000)
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const packed = await Promise.all(publishedPackages().map((published) => pack(published)))
for (const each of packed) checkFiles(each)
const [sizes] = await Promise.all([
  alone(packed),
  lint(packed),
  ...readdirSync(consumers).map((consumer) => checkConsumer(consumer, packed)),
])
if (problems.length > 0) {
  console.error(problems.join('\n\n'))
  process.exitCode = 1
} else console.log(`Alone: ${sizes.join('; ')}`)

/**
 * @typedef {{ name: string, source: string, tarball: string, files: string[], manifest: any }} Packed
 * @param {{ folder: string, name: string }} published
 * @returns {Promise<Packed>}
 */
async function pack({ folder: source, name }) {
  // Not in place: other checks use the built files.
  const copy = join(folder, 'published', name.replace(/\W+/g, '-'))
  mkdirSync(copy, { recursive: true })
  await copyPublished(join(root, source), copy)
  const [command, args] = npm([
    'pack',
    '--json',
    '--ignore-scripts',
    '--loglevel=error',
    '--pack-destination',
    folder,
  ])
  const { code, output } = await run(command, args, { cwd: copy })
  if (code !== 0) throw new Error(`npm pack ${name} failed:\n${output}`)
  const [details] = Object.values(JSON.parse(output.slice(output.search(/^[[{]/m))))
  return {
    name,
    source: join(root, source),
    tarball: join(folder, details.filename),
    files: details.files.map((/** @type {{ path: string }} */ file) => file.path),
    manifest: readJson(join(root, source, 'package.json')),
  }
}

/**
 * Each package in an empty folder of its own.
 *
 * @param {Packed[]} packed
 */
async function alone(packed) {
  const overrides = overridesOf(packed)
  const sizes = []
  for (const each of packed) {
    const installed = await installAlone(each, { folder, packed, overrides })
    problems.push(...installed.problems)
    if (each.name === '@upgate/cli' && installed.packages > 0)
      problems.push(...(await useCommand(installed.folder)))
    sizes.push(`${each.name} ${installed.packages} packages, ${installed.kilobytes} kB`)
  }
  return sizes
}

/** @param {Packed[]} packed */
async function lint(packed) {
  for (const { name, tarball } of packed) {
    await must(`publint ${name}`, runNode(tool('publint'), ['run', tarball, '--strict'], { cwd: root }))
    const types = ['--profile', 'esm-only', '--format', 'ascii', '--no-emoji', tarball]
    await must(`attw ${name}`, runNode(tool('@arethetypeswrong/cli', 'attw'), types, { cwd: root }))
  }
}

/** @param {Packed} packed */
function checkFiles({ name, source, files }) {
  for (const file of ['package.json', 'README.md', 'LICENSE']) {
    if (!files.includes(file)) problems.push(`${name}: ${file} is missing from the tarball`)
  }
  for (const file of files) {
    if (/\.tsbuildinfo$|(^|\/)test\/|\.test\.|(^|\/)tsconfig/.test(file))
      problems.push(`${name}: ${file} does not belong in the tarball`)
    // The declarations have the docstrings, and the JavaScript keeps its names.
    if (/\.map$|^src\//.test(file)) problems.push(`${name}: ${file} does not belong in the tarball`)
  }
  for (const file of readdirSync(join(source, 'dist'), { recursive: true, encoding: 'utf8' })) {
    const module = /^(.*)\.js$/.exec(file)?.[1]
    if (module !== undefined && !existsSync(join(source, 'src', `${module}.ts`)))
      problems.push(`${name}: dist/${file} has no source any more: remove dist and build again`)
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
  /** @type {{ type?: string, with: string[], cannotImport: string[], compilers: string[] }} */
  const { type = 'module', with: extra, cannotImport, compilers } = readJson(join(source, 'consumer.json'))
  // In the tested versions, which npm has in its cache; npm asks the registry for missing ones.
  const dependencies = versionsOf(extra, join(root, 'test'))
  const manifest = { private: true, type, dependencies, overrides: overridesOf(packed) }
  writeFileSync(join(target, 'package.json'), JSON.stringify(manifest))
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
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
  await must(`consumer ${name}: import and require every entry`, runNode('imports.mjs', [], { cwd: target }))
  for (const compiler of compilers) {
    const tsc = join(find(compiler, join(root, 'test')), 'bin', 'tsc')
    await must(`consumer ${name}: ${compiler}`, runNode(tsc, ['-p', '.'], { cwd: target }))
  }
  await must(`consumer ${name}: run main.ts`, runNode(join('out', 'main.js'), [], { cwd: target }))
}

/**
 * @param {string[]} entries
 * @param {string[]} cannotImport Entries whose optional peer is not installed: they must say so by its name
 */
function importer(entries, cannotImport) {
  return `import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
const refused = ${JSON.stringify(cannotImport)}
for (const entry of ${JSON.stringify(entries)}) {
  try {
    const module = await import(entry)
    const names = Object.keys(module)
    if (refused.includes(entry)) throw new Error(entry + ' was expected to miss an optional peer')
    if (names.length === 0) throw new Error(entry + ' exports nothing')
    // The same module and not a second copy: two of them would not know each other's gates.
    const required = require(entry)
    const other = names.find((name) => required[name] !== module[name])
    if (other !== undefined) throw new Error(entry + ' gives CommonJS another ' + other)
  } catch (error) {
    if (!refused.includes(entry) || error.code !== 'ERR_MODULE_NOT_FOUND') throw error
  }
}
`
}

/**
 * The dependencies of each package, in the tested versions.
 *
 * @param {Packed[]} packed
 */
function overridesOf(packed) {
  return Object.fromEntries(
    packed.map(({ name, source, manifest }) => [
      name,
      versionsOf(Object.keys(manifest.dependencies ?? {}), source),
    ]),
  )
}

/**
 * The versions in which packages are installed, as seen from a folder of the repository.
 *
 * @param {string[]} names
 * @param {string} from
 */
function versionsOf(names, from) {
  return Object.fromEntries(
    names.map((name) => [name, readJson(join(find(name, from), 'package.json')).version]),
  )
}

/**
 * @param {string} name
 * @param {string} from
 */
function find(name, from) {
  for (const base of [from, root]) {
    const place = join(base, 'node_modules', name)
    if (existsSync(join(place, 'package.json'))) return place
  }
  throw new Error(`${name} is not installed in the repository`)
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
