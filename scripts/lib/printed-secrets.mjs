import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from './paths.mjs'

/**
 * What test/output/record.ts wrote down during a run of the tests: no secret that was used may be among the output.
 *
 * @typedef {object} Found
 * @property {string} testPath Relative to the root
 * @property {string} label Where it was: a stream, the log, an event, an answer, a close frame
 * @property {string} context The text around it; the secret itself is cut
 */

/** Secrets by their form, whether or not a test named them. */
const forms = [
  // Tokens of ours, whole: prefix, id, secret with its checksum.
  /\bug[a-z]_[\dA-Za-z]{8,}_[\dA-Za-z]{40,}/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/g,
]

/**
 * Secrets that are printed on purpose, because a person has to read them.
 *
 * @type {readonly { test: RegExp, label: RegExp, line: RegExp }[]}
 */
const onPurpose = [
  // The first line that a new gateway prints, once, on its console.
  { test: /./, label: /^stdout of /, line: /^Setup code: / },
  // The examples of the documentation print the command to try next, with the key that they made.
  {
    test: /^test\/docs\//,
    label: /^stdout of .*server\.mjs/,
    line: /^(curl -i -H|npx wscat|\s*\{"type":"auth"|.*then send:)/,
  },
  // The guide about stores prints a rotated token.
  { test: /^test\/docs\/guide-stores\./, label: /^stdout of /, line: /the old one until/ },
  // The small examples print the credentials that they made, and the command for keys prints a new one, once.
  {
    test: /^(test\/contract\/examples|examples\/ai-gateway\/test\/program)\./,
    label: /^stdout of /,
    line: /curl |\{"type":"auth"|^Log in as |shown only now/,
  },
  // Hostile servers that repeat what they were sent: the client under test must not pass it on.
  {
    test: /^(packages\/client\/test\/hostile|test\/diagnosis\/secrets)/,
    label: /^(close|frame|answer)$/,
    line: /./,
  },
  // So does the simulated edge, whose service token opens nothing else.
  { test: /^test\/cloudflare\//, label: /^stdout of .*start\.mjs/, line: /^\s*CF_ACCESS_CLIENT_SECRET=/ },
]

/**
 * @param {string} folder
 * @returns {{ found: Found[], secrets: number, characters: number }}
 */
export function printedSecrets(folder) {
  const files = readdirSync(folder).sort()
  const secrets = new Set(
    files
      .filter((name) => name.startsWith('secrets-'))
      .flatMap((name) => linesOf(join(folder, name)).map((line) => /** @type {string} */ (JSON.parse(line)))),
  )
  const byBeginning = indexOf(secrets)
  /** @type {Map<string, Found>} */
  const found = new Map()
  let characters = 0
  for (const name of files.filter((each) => each.startsWith('printed-'))) {
    for (const line of linesOf(join(folder, name))) {
      /** @type {{ label: string, testPath: string, text: string }} */
      const { label, testPath, text } = JSON.parse(line)
      characters += text.length
      const test = relative(root, testPath)
      for (const { at, secret } of [...occurrences(text, byBeginning), ...formsIn(text)]) {
        const printed = text.slice(text.lastIndexOf('\n', at) + 1)
        const isMeant = onPurpose.some(
          (each) => each.test.test(test) && each.label.test(label) && each.line.test(printed),
        )
        if (isMeant) continue
        const context = `${text.slice(Math.max(0, at - 60), at)}${secret.slice(0, 4)}[...]`
        found.set(`${test} ${label.replace(/\d+/g, '')} ${secret}`, {
          testPath: test,
          label,
          context: context.replace(/\s+/g, ' '),
        })
      }
    }
  }
  return { found: [...found.values()], secrets: secrets.size, characters }
}

/** The lines to show, and the exit code. @param {string} folder */
export function checkPrinted(folder) {
  const { found, secrets, characters } = printedSecrets(folder)
  const size = `${(characters / 1e6).toFixed(1)} million characters of output, ${secrets} secrets`
  if (secrets === 0 || characters === 0)
    return { code: 1, output: 'test/output/record.ts has recorded nothing.', note: 'nothing recorded' }
  if (found.length === 0) return { code: 0, output: '', note: `no secret printed (${size})` }
  const lines = found
    .slice(0, 40)
    .map(({ testPath, label, context }) => `${testPath}: a secret in ${label}: ${context}`)
  const more = found.length > 40 ? [`... and ${found.length - 40} more`] : []
  return {
    code: 1,
    output: ['Secrets were printed, logged or answered:', ...lines, ...more].join('\n'),
    note: `${found.length} secrets printed`,
  }
}

/** @param {string} path */
function linesOf(path) {
  return readFileSync(path, 'utf8').split('\n').filter(Boolean)
}

/** Characters that a search looks up first. */
const beginning = 8

/** @param {Iterable<string>} secrets */
function indexOf(secrets) {
  /** @type {Map<string, string[]>} */
  const index = new Map()
  for (const secret of secrets) {
    const key = secret.slice(0, beginning)
    index.set(key, [...(index.get(key) ?? []), secret])
  }
  return index
}

/**
 * @param {string} text
 * @param {ReadonlyMap<string, readonly string[]>} index
 */
function occurrences(text, index) {
  /** @type {{ at: number, secret: string }[]} */
  const result = []
  for (let at = 0; at + beginning <= text.length; at++) {
    const secrets = index.get(text.slice(at, at + beginning))
    if (secrets === undefined) continue
    for (const secret of secrets) if (text.startsWith(secret, at)) result.push({ at, secret })
  }
  return result
}

/** @param {string} text */
function formsIn(text) {
  return forms.flatMap((form) =>
    [...text.matchAll(form)].map((match) => ({ at: match.index, secret: match[0] })),
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { code, output, note } = checkPrinted(process.argv[2] ?? '')
  console.log(`${output}${output === '' ? '' : '\n'}${note}`)
  process.exitCode = code
}
