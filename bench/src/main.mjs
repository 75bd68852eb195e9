#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { help, readOptions } from './options.mjs'
import { superviseRun } from './supervise.mjs'

if (!existsSync(fileURLToPath(import.meta.resolve('upgate')))) {
  console.error('The packages are not built: run `npm run build` first.')
  process.exit(2)
}
const { suites } = await import('./suites.mjs')
const names = suites.map(({ name }) => name)

/** @type {ReturnType<typeof readOptions>} */
let options
try {
  options = readOptions(process.argv.slice(2), names)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(2)
}
if (options === 'help') {
  console.log(help(names))
  process.exit(0)
}

const run = superviseRun()
const { benchmark } = await import('./benchmark.mjs')
run.finish(await benchmark(suites, options, run.interrupted))
