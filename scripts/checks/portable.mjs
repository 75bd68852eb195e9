// Nothing tracked may refer to a place outside the repository: what holds on one machine only breaks the next clone.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../lib/paths.mjs'

/** @type {readonly (readonly [what: string, pattern: RegExp])[]} */
const forbidden = [
  ['a folder beside the repository', /\.\.\/shared\b/],
  ['a path of one machine', /(?<![\w.-])\/(?:work|root|home\/[a-z][\w-]*|Users\/[a-z][\w-]*)\/[\w.-]/i],
  ['a temporary path of one machine', /\/tmp\/(?!upgate)[\w.-]+\/[\w.-]+/],
  ['a download address', /"resolved": "https?:/],
]

const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
  .split('\0')
  .filter(Boolean)
const findings = files.flatMap((file) => findingsIn(file))
if (findings.length > 0) {
  console.error(`${findings.join('\n')}\n\nTracked files must not refer to what only one machine has.`)
  process.exitCode = 1
}

/** @param {string} file */
function findingsIn(file) {
  let text
  try {
    text = readFileSync(join(root, file), 'utf8')
  } catch {
    return [] // Removed but not committed yet, or a link that leads nowhere: not this check's concern.
  }
  if (text.includes('\0')) return []
  return text
    .split('\n')
    .flatMap((line, index) =>
      forbidden
        .filter(([, pattern]) => pattern.test(line))
        .map(([what]) => `${file}:${index + 1}: ${what}: ${line.trim().slice(0, 120)}`),
    )
}
