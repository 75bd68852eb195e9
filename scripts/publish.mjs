// Runs in the folder of a package, around `npm pack` and `npm publish`: `node ../../scripts/publish.mjs prepare` puts the
// published `dist` in place of the built one, and `restore` puts the built one back.
import { existsSync, renameSync, rmSync } from 'node:fs'
import { writePublished } from './lib/published.mjs'

const folder = process.cwd()
const built = `${folder}/.dist-of-modules`

// A run that ended early left the built modules aside.
if (existsSync(built)) {
  rmSync(`${folder}/dist`, { recursive: true, force: true })
  renameSync(built, `${folder}/dist`)
}
if (process.argv[2] === 'prepare') {
  const written = `${folder}/.dist-published`
  rmSync(written, { recursive: true, force: true })
  await writePublished(folder, written)
  renameSync(`${folder}/dist`, built)
  renameSync(written, `${folder}/dist`)
}
