import { parseArgs } from 'node:util'

/**
 * @typedef {object} Options
 * @property {readonly string[]} only Names of the suites to measure, or to report
 * @property {number | undefined} rounds Interleaved rounds: so many pairs each comparison has
 * @property {number | undefined} minutes For all suites; no limit where there is none
 * @property {import('./suite.mjs').Mode} mode
 * @property {boolean} write Keeps results, and writes the page from all that were kept
 * @property {boolean} resume Goes on with what the raw values hold
 * @property {boolean} report Measures nothing
 * @property {boolean} peers Measures other libraries as well, and installs them where that is needed
 * @property {number} seed Seeds the order of samples and the bootstrap
 */

/** @param {readonly string[]} names */
export const help = (
  names,
) => `Measures Upgate against bare servers and against the smallest hand-written equivalents.

  npm run bench -- [options]

  --only <suite>  ${names.join(', ')};
                  may be repeated, or a list with commas (default: all)
  --rounds <n>    interleaved rounds, 1 to 60 (default: 15, of libraries, floods and scale fewer; with --quick: 3)
  --minutes <n>   time for all of it: a suite ends when its share is spent, with fewer rounds
                  (default: 12; with --quick: 2; no limit with --rounds)
  --write         keep the results of these suites in bench/results/<suite>.json, and write
                  bench/results/README.md from all results that are kept, with its plots, and the figures
                  of the README files
  --resume        go on with a run that was ended: whole rounds that were measured are not measured again
  --report        measure nothing: keep what raw values there are, and write the page
  --quick         short samples: where the figures are, roughly
  --check         print no figures, only prove that everything runs
  --no-peers      leave out the other libraries; without it, the first run installs them into bench/peers
  --seed <n>      seeds the order of samples and the bootstrap (default: 1)
  --help          this text

It measures the compiled packages (npm run build), on loopback, and takes 12 minutes. Stores that need a
server are measured where UPGATE_POSTGRES_URL and UPGATE_REDIS_URL say where one is, and OpenClaw's gateway where
UPGATE_OPENCLAW names its openclaw.mjs and UPGATE_OPENCLAW_NODE a Node that runs it. Raw values are in
bench/results/raw as soon as they are measured. To leave it running when the terminal goes:
setsid npm run bench -- --write > bench.log 2>&1 &

Exit code: 0 if everything was measured, 1 if not, 2 for a wrong option, 129, 130 or 143 after a signal.`

/**
 * Reads the command line.
 *
 * @param {string[]} args
 * @param {readonly string[]} names Of the suites
 * @returns {Options | 'help'}
 * @throws {TypeError} that names the wrong argument
 */
export function readOptions(args, names) {
  const { values } = parseArgs({
    args,
    allowNegative: true,
    options: {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      minutes: { type: 'string' },
      quick: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      resume: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
      peers: { type: 'boolean', default: true },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const { write, resume, report, peers } = values
  const mode = values.check ? 'check' : values.quick ? 'quick' : 'full'
  const asked = values.only?.flatMap((list) => list.split(',').map((name) => name.trim()))
  const unknown = asked?.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new TypeError(`--only ${unknown}: the suites are ${names.join(', ')}.`)
  if (mode !== 'full' && (write || report)) {
    throw new TypeError(
      `--${write ? 'write' : 'report'} keeps full runs only: leave out --quick and --check.`,
    )
  }
  if (mode === 'check' && resume) throw new TypeError('--check keeps nothing that --resume could go on with.')
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  if (rounds !== undefined && (!Number.isInteger(rounds) || rounds < 1 || rounds > 60)) {
    throw new TypeError('--rounds must be a whole number from 1 to 60.')
  }
  const usual = rounds === undefined ? { full: 12, quick: 2, check: undefined }[mode] : undefined
  const minutes = values.minutes === undefined ? usual : Number(values.minutes)
  if (minutes !== undefined && !(minutes > 0 && minutes <= 600)) {
    throw new TypeError('--minutes must be a number from 0 to 600.')
  }
  const seed = Number(values.seed)
  if (!Number.isInteger(seed)) throw new TypeError('--seed must be a whole number.')
  const only = names.filter((name) => asked === undefined || asked.includes(name))
  return { only, rounds, minutes, mode, write, resume, report, peers, seed }
}
