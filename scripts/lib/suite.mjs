import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { runNode } from './children.mjs'
import { readJson, root, tool } from './paths.mjs'
import { checkPrinted } from './printed-secrets.mjs'
import { temporaryFolder } from './temporary.mjs'

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 */

/**
 * What may behave otherwise on another Node: servers, sockets, streams, crypto, native drivers. Not the core, which uses
 * nothing of Node, nor whole applications. `vitest.config.ts` leaves out fuzzes without a socket.
 */
const touchesNode = [
  ...['crypto', 'schemes', 'services', 'stores', 'ws', 'pitfalls', 'adapters', 'pairing', 'tickets'].map(
    (folder) => `packages/upgate/test/${folder}/`,
  ),
  'test/contract/',
  'test/clients/',
]

/** Programs that people copy: on the newest Node as well, for they are first run there. */
const programs = ['test/docs/']

/** Tests of whatever depends on packets, pauses, ends and the order of writes: once more, with UPGATE_SOCKETS=tls. */
const touchesPackets = [
  ...['quarantine', 'hostile', 'limits', 'answers', 'bare-socket', 'first-frame'].map(
    (name) => `packages/upgate/test/ws/${name}.test.ts`,
  ),
  'packages/upgate/test/pitfalls/quarantine.test.ts',
]

/** The halves of the tests, and the projects of vitest.config.ts in each. */
const halves = { unit: ['unit', 'apart'], integration: ['integration'] }

/**
 * Runs one half of the tests and counts them.
 *
 * @param {keyof typeof halves} half
 * @param {{ node?: string | undefined, newest?: boolean, sockets?: 'eager' | 'tls' }} [options] `node`: another Node than this one, for what touches Node itself; `newest`: the newest one; `sockets`: the value of UPGATE_SOCKETS, see packages/upgate/test/ws
 * @returns {Promise<{ code: number, output: string, note: string, counts: Counts, failed: string[] }>} `failed`: the tests that failed, by file and name
 */
export async function suite(half, { node, newest = false, sockets } = {}) {
  const folder = temporaryFolder()
  const report = join(folder, 'report.json')
  const printed = join(folder, 'printed')
  const temporary = join(folder, 'tmp')
  mkdirSync(printed)
  mkdirSync(temporary)
  try {
    const { code } = await runNode(
      tool('vitest'),
      [
        'run',
        ...halves[half].flatMap((project) => ['--project', project]),
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        ...(node === undefined ? [] : touchesNode),
        ...(newest ? programs : []),
        ...(sockets === 'tls' ? touchesPackets : []),
      ],
      {
        cwd: root,
        show: true,
        ...(node === undefined ? {} : { node }),
        env: {
          UPGATE_OUTPUT: printed,
          TMPDIR: temporary,
          ...(sockets !== undefined && { UPGATE_SOCKETS: sockets }),
          ...(node !== undefined && { UPGATE_NODE: 'another' }),
        },
      },
    )
    const results = existsSync(report) ? readJson(report) : { testResults: [] }
    const counts = count(results)
    const failed = failedTests(results)
    // A run that failed without a failed test (an unhandled error, a crash) must not read as a success.
    if (code !== 0 && counts.failed === 0) counts.failed = 1
    // Nor one in which there was nothing to run.
    const empty = counts.passed === 0 && code === 0
    if (empty) return { code: 1, output: 'No test passed.', note: sentence(counts), counts, failed }
    const secrets = checkPrinted(printed)
    if (secrets.code !== 0) counts.failed++
    return {
      code: code || secrets.code,
      output: secrets.output,
      note: `${sentence(counts)}; ${secrets.note}`,
      counts,
      failed,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * @param {{ testResults: { status: string, assertionResults: { status: string }[] }[] }} report
 * @returns {Counts}
 */
function count(report) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const file of report.testResults) {
    for (const { status } of file.assertionResults) {
      if (status === 'passed') counts.passed++
      else if (status === 'failed') counts.failed++
      else counts.skipped++
    }
    // A file that could not even be loaded has no tests to count.
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'))
      counts.failed++
  }
  return counts
}

/**
 * @param {{ testResults: { name: string, status: string, assertionResults: { status: string, fullName: string }[] }[] }} report
 * @returns {string[]}
 */
export function failedTests(report) {
  return report.testResults
    .filter(({ status }) => status === 'failed')
    .flatMap(({ name, assertionResults }) => {
      const file = relative(root, name).replaceAll('\\', '/')
      const tests = assertionResults.filter(({ status }) => status === 'failed')
      if (tests.length === 0) return [`${file} could not be run`]
      return tests.map(({ fullName }) => `${file}: ${fullName.trim()}`)
    })
}

/** @param {Counts} counts */
export function sentence({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`
}

/** @param {readonly Counts[]} all */
export function total(all) {
  const sum = { passed: 0, failed: 0, skipped: 0 }
  for (const counts of all) {
    sum.passed += counts.passed
    sum.failed += counts.failed
    sum.skipped += counts.skipped
  }
  return sum
}

/**
 * The test files that need more of the machine than Node, each with what its `// Needs ...` line asks for.
 *
 * @returns {{ file: string, needs: string }[]}
 */
export function integrationTests() {
  return ['packages', 'examples', 'test']
    .flatMap((folder) => filesBelow(folder))
    .filter((file) => file.endsWith('.integration.test.ts'))
    .sort()
    .map((file) => ({
      file,
      needs:
        readFileSync(join(root, file), 'utf8').match(/^\/\/ Needs (.+?)\.?$/m)?.[1] ??
        'something of the machine',
    }))
}

/**
 * @param {string} folder Relative to the root
 * @returns {string[]}
 */
function filesBelow(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (!entry.isDirectory()) return [path]
    return entry.name === 'node_modules' || entry.name === 'dist' ? [] : filesBelow(path)
  })
}
