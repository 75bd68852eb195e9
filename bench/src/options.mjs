import { parseArgs } from 'node:util'

/**
 * @typedef {'decide' | 'access' | 'http' | 'ws'} Suite
 * @typedef {object} Options
 * @property {readonly Suite[]} suites What is measured
 * @property {number} rounds Interleaved rounds: so many pairs each comparison has
 * @property {boolean} quick Short samples: shows that everything runs, and roughly where the figures are
 * @property {boolean} check Prints no figures; exits 1 where something does not run
 * @property {boolean} write Writes results/README.md
 * @property {number} seed Seeds the order of samples and the bootstrap
 */

export const help = `Measures Upgate against bare servers and against the smallest hand-written equivalents.

  npm run bench -w bench -- [options]

  --only decide|access|http|ws   one suite; may be repeated (default: all)
  --rounds <n>            interleaved rounds, 1 to 60 (default: 15; with --quick: 3)
  --quick                 short samples: where the figures are, roughly
  --check                 print no figures, only prove that everything runs
  --write                 write bench/results/README.md
  --seed <n>              seeds the order of samples and the bootstrap (default: 1)
  --help                  this text

It measures the compiled packages (npm run build), on loopback, and takes less than 10 minutes.`

/** @type {readonly Suite[]} */
const suiteNames = ['decide', 'access', 'http', 'ws']

/**
 * Reads the command line.
 *
 * @param {string[]} args
 * @returns {Options | 'help'}
 * @throws {TypeError} that says what is wrong with them
 */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const { quick, check, write } = values
  const suites = suiteNames.filter((name) => values.only === undefined || values.only.includes(name))
  const unknown = values.only?.find((name) => !suiteNames.some((known) => known === name))
  if (unknown !== undefined)
    throw new TypeError(`--only ${unknown}: the suites are decide, access, http and ws.`)
  if (write && (quick || suites.length < suiteNames.length)) {
    throw new TypeError('--write keeps a full run only: leave out --quick and --only.')
  }
  const rounds = values.rounds === undefined ? (quick ? (check ? 1 : 3) : 15) : Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 60) {
    throw new TypeError('--rounds must be a whole number from 1 to 60.')
  }
  const seed = Number(values.seed)
  if (!Number.isInteger(seed)) throw new TypeError('--seed must be a whole number.')
  return { suites, rounds, quick, check, write, seed }
}
