// Writes docs/api from the built declarations; with --check, says whether it is current and writes nothing.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './lib/paths.mjs'
import { writeReference } from './lib/reference.mjs'

const folder = join(root, 'docs', 'api')
const texts = writeReference()
const there = existsSync(folder) ? readdirSync(folder) : []
const left = there.filter((file) => !texts.has(file))
const changed = [...texts].filter(
  ([file, text]) => !there.includes(file) || readFileSync(join(folder, file), 'utf8') !== text,
)

if (process.argv.includes('--check')) {
  for (const file of [...left, ...changed.map(([file]) => file)]) {
    console.error(
      `docs/api/${file} is not what the docstrings say: npm run build && node scripts/reference.mjs`,
    )
    process.exitCode = 1
  }
} else {
  mkdirSync(folder, { recursive: true })
  for (const file of left) rmSync(join(folder, file))
  for (const [file, text] of changed) writeFileSync(join(folder, file), text)
  console.log(`docs/api: ${texts.size} files, ${changed.length} changed, ${left.length} removed.`)
}
