import { fork } from 'node:child_process'
import { pinned } from './cores.mjs'

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

/** Milliseconds after which a child that does not answer counts as hung. */
const patience = 30_000
/** Milliseconds in which a killed child has to be gone, and in which a dead one's last words arrive. */
const farewell = 5_000

/** @type {Set<ChildProcess>} */
const running = new Set()
/** Those that outlive a round that failed. @type {WeakSet<ChildProcess>} */
const forAllRounds = new WeakSet()
/** What became of those that ended by themselves. @type {string[]} */
let deaths = []

/**
 * A process that answers one question at a time.
 *
 * @typedef {object} Child
 * @property {(question: object, patience?: number) => Promise<any>} ask Rejects when the child dies, fails, or takes longer (milliseconds)
 * @property {() => boolean} alive
 * @property {() => Promise<void>} stop
 */

/**
 * Starts one of the programs here in a process of its own.
 *
 * @param {URL} program
 * @param {readonly string[]} [args]
 * @param {readonly string[]} [execArgv]
 * @param {{ core?: import('./cores.mjs').Role, kept?: boolean, execPath?: string, env?: NodeJS.ProcessEnv }} [options] Which core it has to stay on, where that can be had; whether it is for all rounds; another Node; its whole environment
 * @returns {Child}
 */
export function start(program, args = [], execArgv = [], { core, kept, execPath, env } = {}) {
  const child = fork(program, args, {
    ...pinned(core, execArgv, execPath),
    ...(env && { env }),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  running.add(child)
  if (kept) forAllRounds.add(child)
  const name = [program.pathname.split('/').slice(-2).join('/'), ...args].join(' ')
  let complaints = ''
  child.stderr?.setEncoding('utf8').on('data', (text) => (complaints = (complaints + text).slice(-4000)))
  let asked = 'nothing yet'
  let stopped = false
  /** @type {Error | undefined} */
  let death
  /** @type {((error: Error) => void) | undefined} */
  let fail
  const die = (/** @type {Error} */ error) => {
    death ??= error
    if (running.delete(child) && !stopped) deaths.push(error.message)
    fail?.(death)
  }
  // Not `close`, which also waits for the streams: the end of the process is enough.
  const ended = new Promise((resolve) => {
    child.once('error', (error) => {
      die(new Error(`${name} cannot be started: ${error.message}`))
      resolve(undefined)
    })
    child.once('exit', (code, signal) => {
      // Its last output may still be on its way.
      setImmediate(() => {
        const hint =
          signal === 'SIGKILL' && !stopped ? ' Nobody here did that: the system may be out of memory.' : ''
        const how = signal === null ? `exit code ${code}` : `signal ${signal}`
        die(new Error(`${name} (pid ${child.pid}) ended with ${how}, asked: ${asked}.${hint} ${complaints}`))
        resolve(undefined)
      })
    })
  })

  return {
    ask(question, time = patience) {
      asked = JSON.stringify(question).slice(0, 100)
      return new Promise((resolve, reject) => {
        if (death !== undefined) {
          reject(death)
          return
        }
        const timer = setTimeout(() => {
          done(() => reject(new Error(`${name}: no answer in ${time / 1000} s to ${asked}. ${complaints}`)))
        }, time)
        const done = (/** @type {() => void} */ settle) => {
          clearTimeout(timer)
          child.off('message', onMessage)
          fail = undefined
          settle()
        }
        const onMessage = (/** @type {any} */ answer) =>
          done(() =>
            answer.error === undefined ? resolve(answer) : reject(new Error(`${name}: ${answer.error}`)),
          )
        fail = (error) => done(() => reject(error))
        child.on('message', onMessage)
        child.send(question, (error) => {
          // The channel breaks before the exit is known, and that says more.
          if (error) setTimeout(() => fail?.(error), farewell)
        })
      })
    },
    alive: () => death === undefined,
    async stop() {
      stopped = true
      child.kill('SIGKILL')
      /** @type {NodeJS.Timeout | undefined} */
      let timer
      const late = new Promise((resolve) => (timer = setTimeout(resolve, farewell, true)))
      if (await Promise.race([ended, late]))
        process.stderr.write(`${name} (pid ${child.pid}) does not end.\n`)
      clearTimeout(timer)
      child.stderr?.destroy()
    },
  }
}

/**
 * Returns the causes of unexpected ends of children since the last call: when one of a pair dies, often the other one
 * reports an error.
 */
export function takeDeaths() {
  const taken = deaths
  deaths = []
  return taken
}

/**
 * Counts a process among those that end with this one.
 *
 * @param {ChildProcess} child
 */
export function track(child) {
  running.add(child)
  child.once('exit', () => running.delete(child))
}

/** Ends the children of the round that failed. */
export function stopRound() {
  for (const child of running) if (!forAllRounds.has(child)) end(child)
}

/** @param {ChildProcess} child */
function end(child) {
  child.kill('SIGKILL')
  running.delete(child)
}

/** Ends everything that was started. */
export function stopAll() {
  for (const child of running) end(child)
}

/** What a signal makes of the exit code. */
const signals = /** @type {const} */ ({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })

/**
 * Makes interrupts end the children, then this process, with a message: a long run must not end without a reason.
 *
 * @param {(code: number) => void} [wrapUp] Called at the first interrupt; it has to end this process
 */
export function dieWithChildren(wrapUp) {
  let interrupted = false
  for (const [signal, code] of Object.entries(signals)) {
    process.on(signal, () => {
      process.stderr.write(`\n${signal}: ending.\n`)
      stopAll()
      if (wrapUp === undefined || interrupted) process.exit(code)
      interrupted = true
      wrapUp(code)
    })
  }
  // The reader of the progress output may have ended: the run goes on without it.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  process.once('exit', stopAll)
}
