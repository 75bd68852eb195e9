#!/usr/bin/env node
import { existsSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { dieWithChildren } from './children.mjs'
import { help, readOptions } from './options.mjs'

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

/** Set by a signal: what was measured until then is written, and this becomes the exit code. */
let interruption = 0
let finished = false
dieWithChildren((code) => {
  interruption = code
})
process.once('exit', (code) => {
  if (finished) return
  // An answer that never comes empties the event loop, and the process ends as if all were well.
  writeSync(
    2,
    `The benchmark ended before it was finished (${code}). --resume goes on with what was measured.\n`,
  )
  process.exitCode = interruption || (code === 0 || code === 13 ? 1 : code)
})

const { benchmark } = await import('./benchmark.mjs')
const complete = await benchmark(suites, options, () => interruption !== 0)
finished = true
// Whatever is still open belongs to nobody.
process.exit(interruption || (complete ? 0 : 1))
