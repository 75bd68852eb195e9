import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { build } from 'esbuild'
import { readJson } from './paths.mjs'

/**
 * Writes the `dist` that is published: the modules of a built package joined into one file for each entry, and one for each
 * set of modules that entries share; and the declarations that the entries lead to.
 *
 * Node resolves, reads and links each file of an import: 200 files take longer than everything in them. Names stay, so that
 * stack traces name functions; comments are in the declarations and in the repository.
 *
 * @param {string} source - folder of a package after `tsc -b`; nothing in it is changed
 * @param {string} target - the folder `dist` to write
 */
export async function writePublished(source, target) {
  const { exports, bin = {} } = readJson(join(source, 'package.json'))
  const entries = [
    ...new Set([...targetsOf(exports, 'default'), .../** @type {string[]} */ (Object.values(bin))]),
  ]
  await build({
    absWorkingDir: source,
    entryPoints: entries,
    outdir: target,
    outbase: 'dist',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    target: 'es2023',
    minifyWhitespace: true,
    lineLimit: 120,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [byRequire('ipaddr.js', target)],
  })
  for (const file of declarationsFrom(source, targetsOf(exports, 'types'))) {
    const copy = join(target, relative(join(source, 'dist'), file))
    mkdirSync(dirname(copy), { recursive: true })
    cpSync(file, copy)
  }
}

/**
 * Makes modules import a package of CommonJS through a file of CommonJS. Node 20 searches a file that a module imports for
 * names of exports, with a parser in JavaScript, which takes longer than all else that the package does.
 *
 * @param {string} name
 * @param {string} target
 * @returns {import('esbuild').Plugin}
 */
function byRequire(name, target) {
  const file = `${name.replace(/\W.*/, '')}.cjs`
  return {
    name: 'by-require',
    setup(run) {
      run.onResolve({ filter: new RegExp(`^${name.replaceAll('.', '\\.')}$`) }, () => {
        mkdirSync(target, { recursive: true })
        // A copy: the search would follow `module.exports = require(...)`.
        writeFileSync(
          join(target, file),
          `const all = require(${JSON.stringify(name)})\nmodule.exports = { ...all }\n`,
        )
        return { path: `./${file}`, external: true, sideEffects: false }
      })
    },
  }
}

/**
 * Copies a package as it is published, into an empty folder.
 *
 * @param {string} source
 * @param {string} target
 */
export async function copyPublished(source, target) {
  const kept = readdirSync(source).filter((name) => /^(?:package\.json|README\.md|LICENSE)$/.test(name))
  for (const name of kept) cpSync(join(source, name), join(target, name))
  await writePublished(source, join(target, 'dist'))
}

/**
 * @param {unknown} exports
 * @param {string} condition
 * @returns {string[]}
 */
function targetsOf(exports, condition) {
  if (typeof exports !== 'object' || exports === null) return []
  return Object.entries(exports).flatMap(([name, target]) =>
    name === condition && typeof target === 'string' ? [target] : targetsOf(target, condition),
  )
}

/**
 * The declarations that some declarations lead to, themselves included.
 *
 * @param {string} source
 * @param {readonly string[]} entries
 */
function declarationsFrom(source, entries) {
  const found = new Set(entries.map((entry) => join(source, entry)))
  for (const file of found) {
    const text = readFileSync(file, 'utf8')
    for (const [, from = ''] of text.matchAll(/(?:\bfrom |\bimport\(|^import )['"](\.[^'"]+)['"]/gm))
      found.add(join(dirname(file), from.replace(/\.[jt]s$/, '.d.ts')))
  }
  return found
}
