#!/usr/bin/env node
import { existsSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { dieWithChildren } from './children.mjs'
import { help, readOptions } from './options.mjs'

/** @type {ReturnType<typeof readOptions>} */
let options
try {
  options = readOptions(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(2)
}
if (options === 'help') {
  console.log(help)
  process.exit(0)
}
if (!existsSync(fileURLToPath(import.meta.resolve('upgate')))) {
  console.error('The packages are not built: run `npm run build` first.')
  process.exit(2)
}

dieWithChildren()
const started = performance.now()
const { runDecide } = await import('./decide/suite.mjs')
const { runHttp } = await import('./http/suite.mjs')
const { runSockets } = await import('./ws/suite.mjs')
const { runAccess } = await import('./access/suite.mjs')
const { reportAccess } = await import('./access/report.mjs')
const { reportDecide, reportHttp, reportSockets } = await import('./report.mjs')
const { describe } = await import('./method.mjs')

const progress = (/** @type {string} */ text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\x1b[K`)
}
const { suites, seed } = options
/** @type {string[]} */
const parts = []
if (suites.includes('decide')) parts.push(reportDecide(await runDecide(options, progress), seed))
if (suites.includes('access')) parts.push(reportAccess(await runAccess(options, progress), seed))
if (suites.includes('http')) parts.push(reportHttp(await runHttp(options, progress), seed))
if (suites.includes('ws')) parts.push(reportSockets(await runSockets(options, progress), seed))
progress('')

const seconds = (performance.now() - started) / 1000
if (options.check) {
  console.log(`The harness runs: ${suites.join(', ')} (${seconds.toFixed(0)} s).`)
} else {
  const text = `${[describe(options, seconds / 60), ...parts].join('\n\n').replace(/\n{3,}/g, '\n\n')}\n`
  console.log(text)
  if (options.write) writeFileSync(new URL('../results/README.md', import.meta.url), text)
}
// Whatever is still open belongs to nobody.
process.exit(0)
