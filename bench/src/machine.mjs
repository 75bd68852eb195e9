import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describePlacement } from './cores.mjs'

/**
 * What figures depend on: rounds that differ in any of it are not put together.
 *
 * @typedef {object} Conditions
 * @property {string} node
 * @property {string} machine
 * @property {string} versions
 * @property {string} build Fingerprint of the measured code and of the benchmark
 * @property {string} commit
 * @property {string} placement
 * @property {boolean} postgres Whether there was one to measure
 * @property {boolean} redis
 */

export const postgresUrl = process.env.UPGATE_POSTGRES_URL ?? ''
export const redisUrl = process.env.UPGATE_REDIS_URL ?? ''

/** @returns {Conditions} */
export function conditionsHere() {
  const processors = cpus()
  return {
    node: process.version,
    machine: `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${process.platform}`,
    versions: ['upgate', 'express', 'koa', 'ws', 'libsql', 'pg', 'redis'].map(versionOf).join(', '),
    build: fingerprint(),
    commit: commit(),
    placement: describePlacement(),
    postgres: postgresUrl !== '',
    redis: redisUrl !== '',
  }
}

/**
 * What differs, in words; `undefined` where rounds may be put together.
 *
 * @param {Conditions} then
 * @param {Conditions} now
 */
export function difference(then, now) {
  const names = /** @type {const} */ ([
    'node',
    'machine',
    'versions',
    'build',
    'placement',
    'postgres',
    'redis',
  ])
  return names.find((name) => then[name] !== now[name])
}

/** Processes that wanted a core, on average over the last minute. */
export function load() {
  return loadavg()[0] ?? 0
}

/** @param {string} name */
function versionOf(name) {
  // Read as a file: not every package exports its own description.
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? []
  const file = folders.map((folder) => join(folder, name, 'package.json')).find(existsSync)
  return file === undefined ? `no ${name}` : `${name} ${JSON.parse(readFileSync(file, 'utf8')).version}`
}

function fingerprint() {
  const hash = createHash('sha256')
  const built = fileURLToPath(new URL('.', import.meta.resolve('upgate')))
  const bench = fileURLToPath(new URL('.', import.meta.url))
  for (const [folder, ending] of /** @type {const} */ ([
    [built, '.js'],
    [bench, '.mjs'],
  ])) {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
      if (name.endsWith(ending)) hash.update(name).update(readFileSync(join(folder, name)))
    }
  }
  return hash.digest('hex').slice(0, 12)
}

/** The commit that is checked out, with a plus where files that were measured differ from it. */
function commit() {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const git = (/** @type {string[]} */ ...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' })
  const { status, stdout } = git('rev-parse', '--short', 'HEAD')
  if (status !== 0) return ''
  const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'packages', 'bench/src').stdout
  return `${stdout.trim()}${changed.trim() === '' ? '' : '+'}`
}
