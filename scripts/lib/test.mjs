import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { checks } from './checks.mjs'
import { dieWithChildren } from './children.mjs'
import { install } from './install.mjs'
import { bold, green, Progress, red, seconds } from './report.mjs'
import { integrationTests, sentence, suite, total } from './suite.mjs'

const help = `Runs every check and every test that needs nothing but Node and npm, after installing and building.

  npm test
  npm test -- --only lint,types      some steps, by name (the build always runs)
  npm test -- --integration          also the tests that need a browser, Python, PostgreSQL or Redis
  npm test -- --node <binary>        also what touches Node itself, on another Node; may be repeated

Steps: ${[...checks.map(({ name }) => name), 'tests'].join(', ')}.
One test file while working: npx vitest run <file>. NO_COLOR=1 turns colours off.
Exit code: 0 if everything passed, 1 if not, 2 for a wrong option, 130 after Ctrl-C.`

export async function main() {
  const options = readOptions()
  dieWithChildren()
  const started = performance.now()
  await install()

  const progress = new Progress()
  /** @type {import('./suite.mjs').Counts[]} */
  const counted = []
  /** @type {string[]} */
  const failed = []
  const wants = (/** @type {string} */ name) => options.only === undefined || options.only.includes(name)
  const tests = (/** @type {string} */ name, /** @type {Parameters<typeof suite>} */ ...args) =>
    progress.step(
      name,
      async () => {
        console.log(bold(`\n${name}`))
        const result = await suite(...args)
        counted.push(result.counts)
        failed.push(...result.failed)
        return result
      },
      { showsItself: true },
    )

  if (await progress.step('build', () => build())) {
    // The checks are short and use little but a core: two at a time. The tests run alone afterwards, since
    // theirs are real sockets with real deadlines.
    await inParallel(
      2,
      checks
        .filter(({ name }) => wants(name))
        .map(
          ({ name, work }) =>
            () =>
              progress.step(name, work),
        ),
    )
    if (wants('tests')) await tests('tests', 'unit')
    if (options.integration) await tests('integration tests', 'integration')
    if (options.integration) await tests('tests through TLS', 'unit', { sockets: 'tls' })
    const newest = options.node.toSorted((one, other) => other.order - one.order)[0]
    for (const node of options.node) {
      const isNewest = node === newest
      // On a Node in between, sockets have an object of `ws` from the beginning: that way is tested once, too.
      await tests(isNewest ? `tests on ${node.version}` : `tests on ${node.version}, eager sockets`, 'unit', {
        node: node.binary,
        newest: isNewest,
        ...(!isNewest && { sockets: 'eager' }),
      })
    }
  }

  console.log(`\n${bold('Summary')}\n${progress.summary()}`)
  if (!options.integration && wants('tests')) sayWhatWasLeftOut()
  const took = seconds(performance.now() - started)
  const { failures } = progress
  console.log(
    failures.length === 0
      ? green(`Everything passed in ${took}.`)
      : red(
          `${failures.length} of ${progress.steps.length} steps failed in ${took}: ${failures.join(', ')}.`,
        ),
  )
  if (counted.length > 0) console.log(sentence(total(counted)))
  // Last of all, since the end of a log is what is kept and read.
  if (failed.length > 0)
    console.log(red(`Tests that failed:\n${failed.map((test) => `  ${test}`).join('\n')}`))
  process.exit(failures.length === 0 ? 0 : 1)
}

function sayWhatWasLeftOut() {
  const leftOut = integrationTests()
  if (leftOut.length === 0) return
  console.log(
    `\nLeft out, because they need more than Node and npm (--integration runs them, so does .ci/run):`,
  )
  for (const { file, needs } of leftOut) console.log(`  ${file}: needs ${needs}`)
  console.log('')
}

function readOptions() {
  let values
  try {
    values = parseArgs({
      options: {
        only: { type: 'string' },
        integration: { type: 'boolean', default: false },
        node: { type: 'string', multiple: true, default: [] },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    wrong(error instanceof Error ? error.message : String(error))
  }
  if (values.help) {
    console.log(help)
    process.exit(0)
  }
  const known = [...checks.map(({ name }) => name), 'tests']
  const only = values.only?.split(',').map((name) => name.trim())
  const unknown = only?.find((name) => !known.includes(name))
  if (unknown !== undefined) wrong(`There is no step named "${unknown}". Steps: ${known.join(', ')}.`)
  return { only, integration: values.integration, node: values.node.map(versionOf) }
}

/** @param {string} binary */
function versionOf(binary) {
  const { status, stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' })
  if (status !== 0) wrong(`--node ${binary}: that is not a Node binary that runs here.`)
  const version = stdout.trim().replace('v', '')
  return { binary: resolve(binary), version: `Node ${version}`, order: Number.parseInt(version, 10) }
}

/**
 * @param {string} message
 * @returns {never}
 */
function wrong(message) {
  console.error(`${message}\nnpm test -- --help says what there is.`)
  process.exit(2)
}

/**
 * @param {number} width
 * @param {(() => Promise<unknown>)[]} work
 */
async function inParallel(width, work) {
  const queue = [...work]
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await next()
  }
  await Promise.all(Array.from({ length: width }, worker))
}
