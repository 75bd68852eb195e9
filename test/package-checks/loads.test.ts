/* What the import of each published entry loads, in a process of its own: packages, modules of Node, and folders of
   our own.
   An entry that begins to load more shows up in review as a line. Needs a build.
   A change that is meant: npx vitest run test/package-checks -u */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

interface Manifest {
  name: string
  exports: Record<string, string | { default: string }>
  dependencies?: Record<string, string>
}

const packages = fileURLToPath(new URL('../../packages/', import.meta.url))
const program = fileURLToPath(new URL('list-loaded.mjs', import.meta.url))
const ours = readdirSync(packages).map((folder) => {
  const manifest = JSON.parse(readFileSync(join(packages, folder, 'package.json'), 'utf8')) as Manifest
  return { folder: join(packages, folder), manifest }
})

for (const { folder, manifest } of ours) {
  for (const entry of Object.keys(manifest.exports).filter((name) => !name.endsWith('.json'))) {
    const name = manifest.name + entry.slice(1)
    test(`${name} loads these packages, modules and folders`, async () => {
      const loaded = await load(folder, name)
      const lines = [...new Set(loaded.flatMap(namesOf))].toSorted()
      const file = `loads/${name.replace('@', '').replaceAll('/', '.')}.txt`
      await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(file)
    })
  }
}

test('jose is loaded with the first scheme that needs it', async () => {
  const options = JSON.stringify({ team: 'acme', audience: ['a'.repeat(64)] })
  const folder = join(packages, 'upgate')
  const loaded = await load(folder, 'upgate/cloudflare-access', 'cloudflareAccess', options)
  expect(loaded.flatMap(namesOf)).toContain('package jose')
})

/** The files that a process loads: for an entry, and then for a call of one of its functions. */
async function load(folder: string, name: string, ...call: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, name, ...call], { cwd: folder })
  return (JSON.parse(stdout) as string[]).filter((file) => file !== program)
}

/** The package of a file, or its folder if it is ours, and the modules of Node that it imports. */
function namesOf(file: string): string[] {
  const own = ours.find(({ folder }) => file.startsWith(folder + sep))
  const place = own === undefined ? undefined : relative(join(own.folder, 'dist'), dirname(file))
  const inside = file.split(`${sep}node_modules${sep}`).at(-1)?.split(sep) ?? []
  const foreign = inside[0]?.startsWith('@') === true ? inside.slice(0, 2).join('/') : inside[0]
  const name =
    own === undefined || place === undefined || place.startsWith('..')
      ? `package ${foreign}`
      : `${own.manifest.name} ${place.replaceAll(sep, '/') || '(entries)'}`
  return [name, ...builtinsOf(file)]
}

/** The modules of Node that a file names in an import, or in a `require` of CommonJS. */
function builtinsOf(file: string): string[] {
  const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  const imports = [
    ...code.matchAll(/^(?:import|export)\b[^'";=]*?\bfrom ?['"]([^'"]+)['"]/gm),
    ...code.matchAll(/^import ?['"]([^'"]+)['"]/gm),
    ...code.matchAll(/\brequire\(['"]([^'"]+)['"]\)/g),
  ]
  return imports
    .map(([, from = '']) => from.replace(/^node:/, ''))
    .filter((from) => builtinModules.includes(from))
    .map((from) => `node:${from}`)
}
