import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {import('./suite.mjs').Sample} Sample
 * @typedef {import('./suite.mjs').Samples} Samples
 * @typedef {import('./suite.mjs').Result} Result
 * @typedef {Omit<Result, 'rounds' | 'seconds' | 'repeated' | 'samples'>} Header
 */

/** Raw values of one suite, in the order in which they were measured: what came in is kept, however the run ends. */
export class Journal {
  #file

  /**
   * @param {URL | string} folder
   * @param {string} name
   */
  constructor(folder, name) {
    const path = folder instanceof URL ? fileURLToPath(folder) : folder
    mkdirSync(path, { recursive: true })
    this.#file = `${path.replace(/[/\\]$/, '')}/${name}.jsonl`
  }

  /** @param {Header} header */
  begin(header) {
    writeFileSync(this.#file, `${JSON.stringify({ header })}\n`)
  }

  /** @param {{ round: number } & Sample} sample */
  sample(sample) {
    this.#append(sample)
  }

  /**
   * @param {number} round
   * @param {number} seconds
   */
  done(round, seconds) {
    this.#append({ round, done: true, seconds })
  }

  /**
   * @param {number} round
   * @param {string} failed Why
   */
  failed(round, failed) {
    this.#append({ round, failed })
  }

  /**
   * Says how many rounds it will be now, in all.
   *
   * @param {number} planned
   */
  goOn(planned) {
    this.#append({ planned })
  }

  /** What whole rounds say; `undefined` where nothing was begun. */
  read() {
    return existsSync(this.#file) ? collect(readFileSync(this.#file, 'utf8')) : undefined
  }

  /** @param {object} line */
  #append(line) {
    // Begins with the line's end: what a crash cut short must not swallow the next line.
    appendFileSync(this.#file, `\n${JSON.stringify(line)}\n`)
  }
}

/**
 * Reads raw lines. Samples of a round that failed, or that was never finished, do not count: the others of the round
 * are what each is compared with.
 *
 * @param {string} text
 * @returns {Result | undefined}
 */
export function collect(text) {
  /** @type {Header | undefined} */
  let header
  /** @type {Samples} */
  const samples = {}
  /** @type {Sample[]} */
  let pending = []
  let current = -1
  const counts = { rounds: 0, seconds: 0, repeated: 0 }
  for (const line of text.split('\n')) {
    const entry = parse(line)
    if (entry === undefined) continue
    if (entry.header !== undefined) {
      header = entry.header
      continue
    }
    if (entry.planned !== undefined && header !== undefined) {
      header.planned = entry.planned
      continue
    }
    if (entry.round !== current) pending = []
    current = entry.round
    if (entry.failed !== undefined) {
      pending = []
      counts.repeated++
    } else if (entry.done === true) {
      for (const { id, values } of pending) {
        samples[id] ??= {}
        const of = samples[id]
        for (const [measure, value] of Object.entries(values)) {
          of[measure] ??= []
          of[measure].push(value)
        }
      }
      pending = []
      counts.rounds++
      counts.seconds += entry.seconds
    } else {
      // A value that was measured again after an interrupted run counts once.
      pending = [...pending.filter(({ id }) => id !== entry.id), entry]
    }
  }
  return header && { ...header, ...counts, samples }
}

/** @param {string} line */
function parse(line) {
  if (line === '') return undefined
  try {
    return JSON.parse(line)
  } catch {
    // Cut off by the end of the run.
    return undefined
  }
}
