// The page, its plots and the figures in the README files are what the kept results say.
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { certain } from '../src/claims/claims.mjs'
import { blockOf, claimsBlock, documents, readDocument } from '../src/claims/documents.mjs'
import { writePage } from '../src/page.mjs'
import { drawBars } from '../src/plots/bars.mjs'
import { plotsFor } from '../src/plots/plots.mjs'
import { loadResults } from '../src/results.mjs'
import { suites } from '../src/suites.mjs'

const results = loadResults(suites)
const folder = new URL('../results/', import.meta.url)
const page = readFileSync(new URL('README.md', folder), 'utf8')
const again = 'run `npm run bench -- --report`'

test('the page is the one that the results make', () => {
  expect(page, again).toBe(writePage(suites, results))
})

test('the plots are those that the results make, and the page shows each', () => {
  const plots = [...results.values()].flatMap(plotsFor)
  const kept = readdirSync(new URL('plots/', folder)).sort()
  expect(kept).toEqual(plots.map(({ name }) => `${name}.svg`).sort())
  for (const plot of plots) {
    expect(readFileSync(new URL(`plots/${plot.name}.svg`, folder), 'utf8'), again).toBe(drawBars(plot))
    expect(page).toContain(`](plots/${plot.name}.svg)`)
  }
})

test.each(documents)('the figures in $file are those of the results', ({ file, page: path }) => {
  expect(blockOf(readDocument(file)), again).toBe(claimsBlock(results, path))
})

/** Links to rows of the page: the text, the way to the page, and the row. */
const links = documents.flatMap(({ file, page: path }) =>
  [...readDocument(file).matchAll(/\[([^\]]+)\]\(([^)]*results\/README\.md)#([^)]+)\)/g)].map(
    ([, text = '', to = '', id = '']) => ({ file, path, text, to, id }),
  ),
)

test.each(links)('"$text" in $file is in the row $id', ({ path, text, to, id }) => {
  expect(to).toBe(path)
  const row = page.split('\n').find((line) => line.startsWith('| ') && line.includes(`<a id="${id}"></a>`))
  expect(row).toContain(text)
})

test('every figure of the block links to a row', () => {
  for (const { file } of documents) {
    const sentences = blockOf(readDocument(file))?.match(/^- .*$/gm) ?? []
    for (const sentence of sentences) expect(sentence).toMatch(/README\.md#/)
  }
})

test('a result with few rounds is no figure for the documentation', () => {
  const result = [...results.values()][0]
  if (result === undefined) throw new Error('no result is kept')
  expect(certain({ ...result, suite: 'ws', mode: 'full', rounds: 14 })).toBe(false)
  expect(certain({ ...result, suite: 'ws', mode: 'full', rounds: 15 })).toBe(true)
  expect(certain({ ...result, suite: 'ws', mode: 'quick', rounds: 15 })).toBe(false)
})

test('a plot has a bar and an interval for each value, in light and dark, and no markup from labels', () => {
  const svg = drawBars({
    name: 'test',
    title: 'A & B',
    unit: 'µs',
    format: String,
    bars: [
      { label: '<b>', value: 4, low: 3, high: 5, own: true },
      { label: 'other', value: 8, low: 8, high: 8 },
    ],
  })
  expect(svg.match(/<rect class="(own|bar)"/g)).toEqual(['<rect class="own"', '<rect class="bar"'])
  expect(svg.match(/class="interval" d=/g)).toHaveLength(2)
  expect(svg).toContain('prefers-color-scheme: dark')
  expect(svg).toContain('A &amp; B')
  expect(svg).not.toContain('<b>')
  // The second bar is twice as long.
  expect(
    [...svg.matchAll(/<rect class="(?:own|bar)"[^>]* width="([\d.]+)"/g)].map(([, width]) => width),
  ).toEqual(['200', '400'])
})
