import { fork } from 'node:child_process'

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

/** Milliseconds after which a child that does not answer counts as hung. */
const patience = 30_000

/** @type {Set<ChildProcess>} */
const running = new Set()

/**
 * A process that answers one question at a time.
 *
 * @typedef {object} Child
 * @property {(question: object) => Promise<any>} ask
 * @property {() => Promise<void>} stop
 */

/**
 * Starts one of the programs here in a process of its own.
 *
 * @param {URL} program
 * @param {readonly string[]} [args]
 * @param {readonly string[]} [execArgv]
 * @returns {Child}
 */
export function start(program, args = [], execArgv = []) {
  const child = fork(program, args, { execArgv: [...execArgv], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  running.add(child)
  let complaints = ''
  child.stderr?.setEncoding('utf8').on('data', (text) => (complaints = (complaints + text).slice(-4000)))
  const ended = new Promise((resolve) => child.once('close', resolve)).then(() => running.delete(child))
  /** @type {((error: Error) => void) | undefined} */
  let fail
  child.on('error', (error) => fail?.(error))
  child.on('exit', (code, signal) =>
    fail?.(
      new Error(
        `${program.pathname.split('/').at(-1)} ${args.join(' ')} ended (${signal ?? code}): ${complaints}`,
      ),
    ),
  )

  return {
    ask(question) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => done(() => reject(new Error(`${args.join(' ')}: no answer. ${complaints}`))),
          patience,
        )
        const done = (/** @type {() => void} */ settle) => {
          clearTimeout(timer)
          child.off('message', onMessage)
          fail = undefined
          settle()
        }
        const onMessage = (/** @type {any} */ answer) =>
          done(() => (answer.error === undefined ? resolve(answer) : reject(new Error(answer.error))))
        fail = (error) => done(() => reject(error))
        child.on('message', onMessage)
        child.send(question, (error) => error && fail?.(error))
      })
    },
    async stop() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Ends everything that was started. */
export function stopAll() {
  for (const child of running) child.kill('SIGKILL')
}

/** Makes interrupts end what was started, then this process. */
export function dieWithChildren() {
  for (const [signal, code] of /** @type {const} */ ([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ])) {
    process.once(signal, () => {
      stopAll()
      process.exit(code)
    })
  }
  process.once('exit', stopAll)
}
