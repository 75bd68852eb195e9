import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './children.mjs'
import { readJson, root } from './paths.mjs'

/**
 * Installs what the lock file describes, unless `node_modules` is that already.
 *
 * Not `npm ci`: it refuses a lock file without the optional binaries of every other platform, and npm leaves
 * those out of the lock where a registry does not carry them. `--no-save` installs the locked versions and
 * leaves the lock file alone; this function checks that the result matches the lock.
 *
 * @returns {Promise<void>} Exits the process when npm fails: nothing after it would make sense
 */
export async function install() {
  const reason = staleness()
  if (reason === undefined) return
  console.log(`Installing dependencies: ${reason} ...`)
  const [command, args] = npm([
    'install',
    '--no-save',
    '--include=dev',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ])
  const { code, milliseconds } = await run(command, args, { cwd: root, show: true })
  const problem = code === 0 ? staleness() : 'npm install failed (is the npm registry within reach?)'
  if (problem !== undefined) {
    console.error(`The dependencies are not what package-lock.json says: ${problem}.`)
    console.error('After a change of a package.json, run npm install and commit the lock file.')
    process.exit(code || 1)
  }
  console.log(`Installed in ${(milliseconds / 1000).toFixed(1)} s.`)
}

/**
 * How to start npm: the one that runs us, if one does.
 *
 * @param {string[]} args
 * @returns {[command: string, args: string[]]}
 */
export function npm(args) {
  const npmCli = process.env.npm_execpath
  if (npmCli?.endsWith('.js') && existsSync(npmCli)) return [process.execPath, [npmCli, ...args]]
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm', args]
}

/**
 * Returns why `node_modules` does not match the lock file, or `undefined` if it does.
 *
 * npm leaves a record of its work in `node_modules/.package-lock.json`. It has no root entry and
 * lacks the optional packages of other platforms; everything else must be the same.
 *
 * @param {string} [folder]
 * @returns {string | undefined}
 */
export function staleness(folder = root) {
  const record = join(folder, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return 'nothing is installed yet'
  const wanted = readJson(join(folder, 'package-lock.json')).packages
  let installed
  try {
    installed = readJson(record).packages
  } catch {
    return 'the record of what is installed is damaged'
  }

  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.startsWith('node_modules/') && !path.includes('/node_modules/')) {
      const problem = manifestProblem(folder, path, entry)
      if (problem !== undefined) return problem
      if (path === '') continue
    }
    const present = installed[path]
    if (present === undefined) {
      if (entry.optional === true && !(namesPlatform(entry) && isForHere(entry))) continue
      return `${path} is missing`
    }
    if (fingerprint(present) !== fingerprint(entry)) return `${path} has changed`
    if (!existsSync(join(folder, path))) return `${path} is gone`
  }
  for (const [path, entry] of Object.entries(installed)) {
    // A binary for this platform that the registry behind the lock file did not have.
    const extraBinary = entry.optional === true && namesPlatform(entry)
    if (wanted[path] === undefined && !extraBinary) return `${path} is no longer wanted`
  }
  return undefined
}

const dependencyFields = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']

/**
 * A manifest edited without the lock file is npm's to complain about; here it only must not go unnoticed.
 *
 * @param {string} folder
 * @param {string} path
 * @param {any} entry
 */
function manifestProblem(folder, path, entry) {
  const file = join(folder, path, 'package.json')
  if (!existsSync(file)) return `${path}/package.json is gone`
  const manifest = JSON.parse(readFileSync(file, 'utf8'))
  for (const field of dependencyFields) {
    if (sorted(manifest[field]) !== sorted(entry[field])) return `${join(path, 'package.json')} has changed`
  }
  return undefined
}

/** @param {any} entry */
function fingerprint(entry) {
  return entry.link === true
    ? `link ${entry.resolved}`
    : [entry.version, entry.integrity, ...dependencyFields.map((field) => sorted(entry[field]))].join('\n')
}

/** @param {Record<string, string> | undefined} dependencies */
function sorted(dependencies) {
  return JSON.stringify(Object.entries(dependencies ?? {}).sort())
}

/** @param {any} entry */
function namesPlatform(entry) {
  return entry.os !== undefined || entry.cpu !== undefined
}

/** @param {any} entry */
function isForHere(entry) {
  return (
    lists(entry.os, process.platform) &&
    lists(entry.cpu, process.arch) &&
    (process.platform !== 'linux' || lists(entry.libc, libc()))
  )
}

/**
 * @param {string[] | undefined} allowed
 * @param {string} value
 */
function lists(allowed, value) {
  if (allowed === undefined) return true
  const refused = allowed.filter((name) => name.startsWith('!'))
  return refused.length > 0 ? !refused.includes(`!${value}`) : allowed.includes(value)
}

/** @type {string | undefined} */
let knownLibc
function libc() {
  if (knownLibc === undefined) {
    // Without this the report may look up host names, which can take seconds.
    Object.assign(process.report, { excludeNetwork: true })
    const report = /** @type {any} */ (process.report.getReport())
    knownLibc = report.header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
  }
  return knownLibc
}
