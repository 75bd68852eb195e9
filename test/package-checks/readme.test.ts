/* The README of the package is all that its page on npm shows: it lists what there is to import, and what that needs. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const folder = new URL('../../packages/upgate/', import.meta.url)
const readme = readFileSync(new URL('README.md', folder), 'utf8')
const manifest = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as {
  exports: Record<string, unknown>
  peerDependencies: Record<string, string>
}
const rows = readme.split('\n').filter((line) => line.startsWith('| `'))

it('lists every entry, and no other', () => {
  const entries = Object.keys(manifest.exports).filter((entry) => !entry.endsWith('.json'))
  expect(rows.map((row) => /^\| `([^`]+)`/.exec(row)?.[1])).toEqual(
    entries.map((entry) => `upgate${entry.slice(1)}`),
  )
})

it('names every optional peer with the oldest version that will do', () => {
  for (const [name, range] of Object.entries(manifest.peerDependencies)) {
    const oldest = /^\^(\d+\.\d+)/.exec(range)?.[1]?.replace(/\.0$/, '')
    const shown = rows
      .flatMap((row) => [...row.matchAll(/`([^`]+)` (\d+(?:\.\d+)?)/g)])
      .map((found) => found.slice(1))
    expect(shown).toContainEqual([name, oldest])
  }
})
