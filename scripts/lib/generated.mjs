import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { root } from './paths.mjs'

/**
 * Brings a folder of generated files up to date, or says which ones are not, and sets the exit code.
 *
 * @param {object} options
 * @param {string} options.folder It holds generated files only
 * @param {ReadonlyMap<string, string>} options.texts The text of each file, by its name
 * @param {readonly string[]} [options.others] Files in it that something else generates
 * @param {boolean} options.check Writes nothing
 * @param {string} options.remedy Follows the name of a file that is not current
 */
export function writeGenerated({ folder, texts, others = [], check, remedy }) {
  const there = existsSync(folder) ? readdirSync(folder) : []
  const left = there.filter((file) => !texts.has(file) && !others.includes(file))
  const changed = [...texts].filter(
    ([file, text]) => !there.includes(file) || readFileSync(join(folder, file), 'utf8') !== text,
  )
  const place = relative(root, folder).replaceAll('\\', '/')
  if (check) {
    for (const file of [...left, ...changed.map(([file]) => file)]) {
      console.error(`${place}/${file} ${remedy}`)
      process.exitCode = 1
    }
    return
  }
  mkdirSync(folder, { recursive: true })
  for (const file of left) rmSync(join(folder, file))
  for (const [file, text] of changed) writeFileSync(join(folder, file), text)
  console.log(`${place}: ${texts.size} files, ${changed.length} changed, ${left.length} removed.`)
}
