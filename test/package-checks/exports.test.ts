// Every name a published entry exports, types included: what is added or lost shows up in review as a line.
// A change that is meant: npx vitest run test/package-checks -u
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

interface Manifest {
  name: string
  private?: boolean
  exports: Record<string, string | { '@upgate/source': string }>
}

const packages = new URL('../../packages/', import.meta.url)

for (const folder of readdirSync(packages)) {
  const base = new URL(`${folder}/`, packages)
  const manifest = JSON.parse(readFileSync(new URL('package.json', base), 'utf8')) as Manifest
  if (manifest.private === true) continue

  describe(manifest.name, () => {
    for (const [entry, target] of Object.entries(manifest.exports)) {
      if (typeof target === 'string') continue
      const name = manifest.name + entry.slice(1)

      test(`${name} exports what it did`, async () => {
        const source = readFileSync(fileURLToPath(new URL(target['@upgate/source'], base)), 'utf8')
        const { types, values } = namesIn(source)
        const loaded = Object.keys((await import(/* @vite-ignore */ name)) as object)
        expect(values, 'the names read from the source are those that exist').toEqual(loaded.toSorted())

        const lines = [...types.map((type) => `type ${type}`), ...values]
        const file = `exports/${name.replace('@', '').replaceAll('/', '.')}.txt`
        await expect(`${lines.toSorted().join('\n')}\n`).toMatchFileSnapshot(file)
      })
    }
  })
}

/** Entries are explicit named exports, so their text says it all; a wildcard would hide names from review. */
function namesIn(source: string): { types: string[]; values: string[] } {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  expect(code, 'no wildcard exports').not.toMatch(/^export \*/m)
  const types = new Set<string>()
  const values = new Set<string>()
  for (const [, only, list = ''] of code.matchAll(/^export (type )?\{([^}]*)\}/gm)) {
    for (const item of list.split(',').map((part) => part.trim())) {
      if (item === '') continue
      const name = item.split(/\s+as\s+/).at(-1) ?? item
      const isType = only !== undefined || item.startsWith('type ')
      ;(isType ? types : values).add(name.replace(/^type /, ''))
    }
  }
  const declaration =
    /^export (?:declare |abstract |async )*(interface|type|class|function\*?|const|let) (\w+)/gm
  for (const [, keyword = '', name = ''] of code.matchAll(declaration)) {
    const isType = keyword === 'interface' || keyword === 'type'
    ;(isType ? types : values).add(name)
  }
  return { types: [...types], values: [...values].toSorted() }
}
