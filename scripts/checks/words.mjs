// Counts the words that make prose hard to follow, in comments, test names and documentation, against a budget.
//
//   node scripts/checks/words.mjs            fails where a group is over its budget
//   node scripts/checks/words.mjs --list     also lists each occurrence
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../lib/paths.mjs'
import { commentsIn, testNamesIn } from './comments.mjs'

/** Groups of words, with the occurrences per 1,000 words that are allowed. */
const groups = [
  {
    name: 'who, whoever, whom, nobody, somebody',
    words: /\b(?:who(?:ever|m|se)?|nobody|somebody)\b/gi,
    most: 1,
  },
  { name: 'anew, for ever, meanwhile, beside', words: /\b(?:anew|for ever|meanwhile|beside)\b/gi, most: 0.3 },
  { name: 'what is, what was, what it', words: /\bwhat (?:is|was|it)\b/gi, most: 0.3 },
]

/** @typedef {{ file: string, line: number, text: string }} Passage */

/** @type {Record<string, (file: string, text: string) => Passage[]>} */
const kinds = {
  'comments of the packages': (file, text) =>
    /^packages\/[^/]+\/src\/.*\.ts$/.test(file) ? commentsIn(file, text) : [],
  'other comments': (file, text) =>
    /\.(?:ts|mjs|js)$/.test(file) && !/^packages\/[^/]+\/src\//.test(file) ? commentsIn(file, text) : [],
  'test names': (file, text) => (/\.test\.ts$/.test(file) ? testNamesIn(file, text) : []),
  documentation: (file, text) =>
    file.endsWith('.md') && !file.startsWith('docs/api/') ? proseIn(file, text) : [],
}

const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\0')
  .filter((file) => /\.(?:ts|mjs|js|md)$/.test(file) && existsSync(join(root, file)))
const list = process.argv.includes('--list')

for (const [kind, passagesOf] of Object.entries(kinds)) {
  const passages = files.flatMap((file) => passagesOf(file, readFileSync(join(root, file), 'utf8')))
  const total = passages.reduce((sum, { text }) => sum + (text.match(/[A-Za-z][A-Za-z'-]*/g)?.length ?? 0), 0)
  for (const { name, words, most } of groups) {
    const found = passages.flatMap(({ file, line, text }) =>
      [...text.matchAll(words)].map((match) => ({ file, line, match, text })),
    )
    const rate = total === 0 ? 0 : (found.length / total) * 1000
    const over = rate > most
    console.log(
      `${over ? 'over' : '  ok'}  ${rate.toFixed(2)} of ${most} per 1,000  ${kind}: ${name} (${found.length} in ${total} words)`,
    )
    if (over) process.exitCode = 1
    if (list)
      for (const { file, line, match, text } of found) {
        const from = Math.max(0, match.index - 40)
        console.log(`      ${file}:${line}: ${text.slice(from, match.index + 60).replace(/\s+/g, ' ')}`)
      }
  }
}

/**
 * Prose of a Markdown file, without code.
 *
 * @param {string} file
 * @param {string} text
 * @returns {Passage[]}
 */
function proseIn(file, text) {
  let fenced = false
  return text.split('\n').flatMap((line, index) => {
    if (/^\s*(?:```|~~~)/.test(line)) {
      fenced = !fenced
      return []
    }
    if (fenced) return []
    return [{ file, line: index + 1, text: line.replace(/`[^`]*`/g, ' ').replace(/\]\([^)]*\)/g, ' ') }]
  })
}
