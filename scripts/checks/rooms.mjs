// Which folder of the library may import which, as the table of docs/architecture.md says it; and no import cycles.
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../lib/paths.mjs'

/**
 * @typedef {object} Room
 * @property {string} folder Relative to `packages/upgate/src`
 * @property {readonly string[]} imports Folders, files and packages
 * @property {string} sentence What the table says of them
 */

/**
 * Reads the rows of the table with a folder in backticks in the first cell and its allowed imports in the last.
 *
 * @param {string} markdown
 * @returns {Room[]}
 */
export function readTable(markdown) {
  return markdown.split('\n').flatMap((line) => {
    const cells = line.split('|').map((cell) => cell.trim())
    const folder = /^`([\w/-]+)\/`$/.exec(cells[1] ?? '')?.[1]
    if (folder === undefined || cells.length !== 5) return []
    const sentence = cells[3] ?? ''
    return [
      { folder, sentence, imports: [...sentence.matchAll(/`([^`]+?)\/?`/g)].map((match) => match[1] ?? '') },
    ]
  })
}

/**
 * The folders of the sentence "Every folder may import ...".
 *
 * @param {string} markdown
 */
export function readEverywhere(markdown) {
  const sentence = /^Every folder may import (.*?)\.$/m.exec(markdown)?.[1] ?? ''
  return [...sentence.matchAll(/`([^`]+?)\/`/g)].map((match) => match[1] ?? '')
}

/**
 * @param {readonly Room[]} rooms
 * @param {ReadonlyMap<string, readonly string[]>} sources Path relative to the source folder, and its imports
 * @param {readonly string[]} [everywhere] Folders that every folder may import
 * @returns {string[]} One sentence for each import that the table forbids, each file without a row, each cycle
 */
export function findProblems(rooms, sources, everywhere = []) {
  const problems = []
  const roomOf = (/** @type {string} */ file) =>
    rooms.reduce(
      (/** @type {Room | undefined} */ best, room) =>
        file.startsWith(`${room.folder}/`) && room.folder.length > (best?.folder.length ?? 0) ? room : best,
      undefined,
    )
  for (const [file, imports] of sources) {
    const room = roomOf(file)
    // Files in no folder are the public entries: they hand on, and may import everything.
    if (room === undefined) {
      if (file.includes('/')) problems.push(`${file}: its folder has no row in the table.`)
      continue
    }
    for (const specifier of imports) {
      const target = specifier.startsWith('.')
        ? posix.normalize(posix.join(posix.dirname(file), specifier))
        : specifier
      const allowed =
        target.startsWith('node:') && !room.folder.startsWith('core')
          ? true
          : roomOf(target) === room ||
            [...everywhere, ...room.imports].some(
              (known) => target === known || target.startsWith(`${known}/`),
            )
      if (!allowed) {
        problems.push(`${file}: imports ${target}. ${room.folder}/ imports: ${room.sentence}.`)
      }
    }
  }
  for (const cycle of findCycles(sources)) problems.push(`A cycle of imports: ${cycle.join(' -> ')}.`)
  return problems
}

/**
 * Files that import each other in a loop, types included (Tarjan).
 *
 * @param {ReadonlyMap<string, readonly string[]>} sources
 */
function findCycles(sources) {
  /** @type {Map<string, { index: number, low: number, open: boolean }>} */
  const seen = new Map()
  /** @type {string[]} */
  const stack = []
  /** @type {string[][]} */
  const cycles = []
  /** @param {string} file */
  const visit = (file) => {
    const own = { index: seen.size, low: seen.size, open: true }
    seen.set(file, own)
    stack.push(file)
    for (const specifier of sources.get(file) ?? []) {
      if (!specifier.startsWith('.')) continue
      const next = posix.normalize(posix.join(posix.dirname(file), specifier))
      const known = seen.get(next)
      if (known === undefined) own.low = Math.min(own.low, visit(next).low)
      else if (known.open) own.low = Math.min(own.low, known.index)
    }
    if (own.low === own.index) {
      const members = stack.splice(stack.indexOf(file))
      for (const member of members) /** @type {{ open: boolean }} */ (seen.get(member)).open = false
      if (members.length > 1) cycles.push([...members, file])
    }
    return own
  }
  for (const file of sources.keys()) if (!seen.has(file)) visit(file)
  return cycles
}

/** What each source of the library imports. @returns {Map<string, string[]>} */
export function readSources() {
  const base = join(root, 'packages', 'upgate', 'src')
  /** @param {string} folder @returns {string[]} */
  const below = (folder) =>
    readdirSync(join(base, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = posix.join(folder, entry.name)
      return entry.isDirectory() ? below(path) : path.endsWith('.ts') ? [path] : []
    })
  return new Map(
    below('').map((file) => [
      file,
      [
        ...readFileSync(join(base, file), 'utf8').matchAll(
          /^(?:(?:import|export|\}) (?:[^'\n]* )?from|import) '([^']+)'$/gm,
        ),
      ].map((match) => match[1] ?? ''),
    ]),
  )
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const markdown = readFileSync(join(root, 'docs', 'architecture.md'), 'utf8')
  const problems = findProblems(readTable(markdown), readSources(), readEverywhere(markdown))
  if (problems.length > 0) {
    console.error(`${problems.join('\n')}\n\nThe table stands in docs/architecture.md, "The rooms".`)
    process.exitCode = 1
  }
}
