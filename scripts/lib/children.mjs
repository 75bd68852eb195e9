import { spawn } from 'node:child_process'

/**
 * @typedef {object} Outcome
 * @property {number} code Exit code; 1 where a signal ended it
 * @property {string} output Both output streams, interleaved; empty when it was shown directly
 * @property {number} milliseconds
 */

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()
const ownGroup = process.platform !== 'win32'
let stopping = false
let stoppedAt = 0

/**
 * Runs a program to its end. Never rejects: one that cannot be started has code 127.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: Record<string, string | undefined>, show?: boolean }} options
 *   `show`: straight to our own output instead of being kept
 * @returns {Promise<Outcome>}
 */
export function run(command, args, { cwd, env = {}, show = false }) {
  const started = performance.now()
  return new Promise((resolve) => {
    // After an interrupt, nothing new starts and no end is reported: this process is about to end.
    if (stopping) return
    let output = ''
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: show ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
      // A group of its own lets an interrupt reach its own children (test workers, their servers).
      detached: ownGroup,
    })
    running.add(child)
    child.stdout?.setEncoding('utf8').on('data', (text) => (output += text))
    child.stderr?.setEncoding('utf8').on('data', (text) => (output += text))
    const end = (/** @type {number} */ code) => {
      if (!running.delete(child)) return
      // Processes left behind would hold ports and files of the next step.
      signalGroup(child, 'SIGKILL')
      if (stopping && running.size === 0) process.exit()
      if (stopping) return
      resolve({ code, output, milliseconds: performance.now() - started })
    }
    child.on('error', (error) => {
      output += `${command}: ${error.message}\n`
      end(127)
    })
    child.on('close', (code) => end(code ?? 1))
  })
}

/**
 * Runs one of the repository's Node programs with this very Node, or with another one.
 *
 * @param {string} script
 * @param {readonly string[]} args
 * @param {Parameters<typeof run>[2] & { node?: string }} options
 * @returns {Promise<Outcome>}
 */
export function runNode(script, args, { node = process.execPath, ...options }) {
  return run(node, [script, ...args], options)
}

/** @type {readonly (readonly [signal: NodeJS.Signals, exitCode: number])[]} */
const interrupts = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
]

/**
 * Makes interrupts (Ctrl-C, a CI that cancels) end everything that was started, then this process.
 *
 * @param {number} [grace] Milliseconds until what does not end by itself is killed
 * @returns {() => void} Takes it back
 */
export function dieWithChildren(grace = 5000) {
  const listeners = interrupts.map(([signal, code]) => {
    const kill = () => {
      for (const child of running) signalGroup(child, 'SIGKILL')
      process.exit(code)
    }
    const listener = () => {
      if (stopping) {
        // A second one does not wait; but npm passes on what the terminal has sent to all of us already.
        if (performance.now() - stoppedAt > 500) kill()
        return
      }
      stopping = true
      stoppedAt = performance.now()
      process.exitCode = code
      console.error(`\nStopped by ${signal}.`)
      for (const child of running) signalGroup(child, signal)
      setTimeout(kill, running.size === 0 ? 0 : grace)
    }
    process.on(signal, listener)
    return /** @type {const} */ ([signal, listener])
  })
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener)
  }
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
function signalGroup(child, signal) {
  if (child.pid === undefined) return
  try {
    if (ownGroup) process.kill(-child.pid, signal)
    else child.kill(signal)
  } catch {
    // Gone already.
  }
}
