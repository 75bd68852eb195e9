const colourful =
  process.env.NO_COLOR === undefined || process.env.NO_COLOR === ''
    ? process.stdout.isTTY === true || (process.env.FORCE_COLOR ?? '0') !== '0'
    : false

/** @param {number} code */
const paint = (code) => (/** @type {string} */ text) => (colourful ? `\u001b[${code}m${text}\u001b[0m` : text)

export const bold = paint(1)
export const dim = paint(2)
export const red = paint(31)
export const green = paint(32)

/** @param {number} milliseconds */
export function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`
}

/**
 * One line per finished step, and a sign of life while one takes long.
 */
export class Progress {
  /** @type {{ name: string, ok: boolean, milliseconds: number, note: string }[]} */
  steps = []

  /**
   * Runs a step and prints its line, and its output if it failed.
   *
   * @param {string} name
   * @param {() => Promise<{ code: number, output: string, note?: string }>} work
   * @param {{ showsItself?: boolean }} [options] `showsItself`: its output is on the screen already
   * @returns {Promise<boolean>}
   */
  async step(name, work, { showsItself = false } = {}) {
    const started = performance.now()
    const reminder = setInterval(() => {
      if (!showsItself)
        console.log(dim(`  ... ${name} is still at work (${seconds(performance.now() - started)})`))
    }, 20_000)
    reminder.unref()
    let result
    try {
      result = await work()
    } catch (error) {
      result = { code: 1, output: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
    clearInterval(reminder)
    const ok = result.code === 0
    const milliseconds = performance.now() - started
    this.steps.push({ name, ok, milliseconds, note: result.note ?? '' })
    if (!ok && result.output.trim() !== '') {
      console.log(`\n${result.output.trimEnd().replaceAll(/^/gm, '  | ')}\n`)
    }
    console.log(line(ok, name, milliseconds, result.note ?? ''))
    return ok
  }

  get failures() {
    return this.steps.filter(({ ok }) => !ok).map(({ name }) => name)
  }

  summary() {
    return this.steps.map(({ ok, name, milliseconds, note }) => line(ok, name, milliseconds, note)).join('\n')
  }
}

/**
 * @param {boolean} ok
 * @param {string} name
 * @param {number} milliseconds
 * @param {string} note
 */
function line(ok, name, milliseconds, note) {
  const mark = ok ? green('ok    ') : red('FAILED')
  return `${mark} ${name.padEnd(26)} ${seconds(milliseconds).padStart(8)}${note === '' ? '' : `   ${dim(note)}`}`
}
