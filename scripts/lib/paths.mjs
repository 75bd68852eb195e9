import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where the repository begins. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/**
 * Path of a tool's JavaScript entry, run with this very Node: no shell and no `.cmd` wrapper in between,
 * so that signals reach it and paths with spaces stay whole.
 *
 * @param {string} name Package name
 * @param {string} [bin] Name of the command, where the package has several
 * @returns {string}
 */
export function tool(name, bin = name) {
  const folder = join(root, 'node_modules', name)
  const manifest = readJson(join(folder, 'package.json'))
  const entry = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin?.[bin]
  if (entry === undefined) throw new Error(`${name} has no command named ${bin}`)
  return join(folder, entry)
}

/**
 * Packages that are published, by folder relative to the root.
 *
 * @returns {{ folder: string, name: string, version: string }[]}
 */
export function publishedPackages() {
  return readdirSync(join(root, 'packages'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => ({
      folder: `packages/${entry.name}`,
      manifest: readJson(join(root, 'packages', entry.name, 'package.json')),
    }))
    .filter(({ manifest }) => manifest.private !== true)
    .map(({ folder, manifest }) => ({ folder, name: manifest.name, version: manifest.version }))
}

/**
 * @param {string} path
 * @returns {any}
 */
export function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'))
}
