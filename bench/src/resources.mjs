import { spawnSync } from 'node:child_process'
import { freemem } from 'node:os'

/**
 * What stands in the way of a suite, in words: better said before the run than met in its tenth minute.
 *
 * @param {string} name
 * @param {{ files?: number, memory?: number }} needs
 * @returns {string | undefined}
 */
export function shortage(name, { files = 0, memory = 0 }) {
  const limit = openFiles()
  if (files > limit) {
    return (
      `${name} needs ${files} open files in one process, and the limit is ${limit}: ` +
      `raise it (\`ulimit -n ${files}\`), or leave ${name} out with --only.`
    )
  }
  // The memory that this process uses already is too little to matter.
  const free = Math.min(freemem(), process.availableMemory?.() ?? Number.POSITIVE_INFINITY)
  if (memory > free) {
    const gigabytes = (/** @type {number} */ bytes) => (bytes / 2 ** 30).toFixed(1)
    return (
      `${name} needs ${gigabytes(memory)} GiB of memory, and ${gigabytes(free)} GiB are free: ` +
      `leave ${name} out with --only, or measure roughly with --quick.`
    )
  }
  return undefined
}

/** The limit that children will have: Node raises it as far as it may. */
function openFiles() {
  if (process.platform === 'win32') return Number.POSITIVE_INFINITY
  const { stdout } = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' })
  const limit = Number(stdout)
  return Number.isFinite(limit) && limit > 0 ? limit : Number.POSITIVE_INFINITY
}
