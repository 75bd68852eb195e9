import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../lib/paths.mjs'

test('every TypeScript project is type-checked: the root tsconfig.json refers to each of them', () => {
  const folders = ['packages', 'examples'].flatMap((parent) =>
    readdirSync(join(root, parent)).flatMap((name) => [`${parent}/${name}`, `${parent}/${name}/test`]),
  )
  const withSources = [...folders, 'test', 'bench', 'scripts'].filter((folder) => hasTypeScript(folder))
  const { references } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'))
  const referred = (references as { path: string }[]).map(({ path }) => path)
  expect(withSources.filter((folder) => !referred.includes(folder))).toEqual([])
})

/** TypeScript of its own: not only in a `test` folder, which is a project by itself. */
function hasTypeScript(folder: string, depth = 0): boolean {
  if (!existsSync(join(root, folder))) return false
  return readdirSync(join(root, folder), { withFileTypes: true }).some((entry) => {
    if (entry.isFile()) return entry.name.endsWith('.ts')
    const otherProject = depth === 0 && entry.name === 'test' && folder !== 'scripts'
    if (otherProject || entry.name === 'node_modules' || entry.name === 'dist') return false
    return hasTypeScript(`${folder}/${entry.name}`, depth + 1)
  })
}
