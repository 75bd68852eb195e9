import { readFileSync, writeFileSync } from 'node:fs'
import { table } from '../table.mjs'
import { certain, claimsOf } from './claims.mjs'

/** @typedef {import('../suite.mjs').Result} Result */

const root = new URL('../../../', import.meta.url)

/** Documents with a block of figures, and the way from there to the page. */
export const documents = /** @type {const} */ ([
  { file: 'README.md', page: 'bench/results/README.md' },
  { file: 'packages/upgate/README.md', page: '../../bench/results/README.md' },
])

const begin = '<!-- figures: written by `npm run bench -- --write` -->'
const end = '<!-- /figures -->'

/**
 * The rows of the page that documents cite.
 *
 * @param {ReadonlyMap<string, Result>} results
 */
export function claimsTable(results) {
  const rows = claimsOf(results).map(({ id, figure, ours, others }) => [
    `<a id="${id}"></a>${figure}`,
    ours,
    others,
  ])
  if (rows.length === 0) return ''
  return `## At a glance

Medians of the tables below, with their 95 % intervals. The documentation cites the bad end of an interval.

${table(['figure', 'Upgate', 'others in the same run'], rows, { textColumns: 3 })}`
}

/**
 * The sentences of a document, each with a link to its row.
 *
 * @param {ReadonlyMap<string, Result>} results
 * @param {string} page
 */
export function claimsBlock(results, page) {
  const full = new Map([...results].filter(([, result]) => certain(result)))
  const sentences = claimsOf(full).map(
    ({ id, sentence }) => `- ${sentence((text) => `[${text}](${page}#${id})`)}`,
  )
  return [begin, '', ...sentences, '', end].join('\n')
}

/** @param {string} file @returns {string} */
export function readDocument(file) {
  return readFileSync(new URL(file, root), 'utf8')
}

/**
 * The block of a document as it is.
 *
 * @param {string} text
 */
export function blockOf(text) {
  const from = text.indexOf(begin)
  const to = text.indexOf(end, from)
  return from === -1 || to === -1 ? undefined : text.slice(from, to + end.length)
}

/**
 * Writes the figures into the documents.
 *
 * @param {ReadonlyMap<string, Result>} results
 */
export function writeDocuments(results) {
  for (const { file, page } of documents) {
    const text = readDocument(file)
    const block = blockOf(text)
    if (block === undefined) throw new Error(`${file} has no block of figures: ${begin}`)
    writeFileSync(
      new URL(file, root),
      text.replace(block, () => claimsBlock(results, page)),
    )
  }
}
