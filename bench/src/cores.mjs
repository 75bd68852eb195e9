import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** @typedef {'server' | 'client'} Role */

/** Cores to keep server and client apart, or `undefined` where there is one core, or no `taskset`. */
export const cores = findCores()

/**
 * What makes `fork` start a program on the core of its role.
 *
 * @param {Role | undefined} role
 * @param {readonly string[]} execArgv
 * @param {string} [execPath] Another Node than this process's
 */
export function pinned(role, execArgv, execPath = process.execPath) {
  if (role === undefined || cores === undefined) return { execPath, execArgv: [...execArgv] }
  return { execPath: 'taskset', execArgv: ['-c', `${cores[role]}`, execPath, ...execArgv] }
}

/** How it is said in the method. */
export function describePlacement() {
  if (cores === undefined) return 'wherever the system puts them'
  return `pinned to a core each${cores.shared ? ', which are two threads of one' : ''}`
}

function findCores() {
  if (process.platform !== 'linux') return undefined
  const { status, stdout } = spawnSync('taskset', ['-c', '-p', `${process.pid}`], { encoding: 'utf8' })
  if (status !== 0) return undefined
  const allowed = parseList(stdout.slice(stdout.lastIndexOf(':') + 1))
  // Interrupts often go to the first core.
  const server = allowed.at(-1)
  if (server === undefined || allowed.length < 2) return undefined
  const siblings = siblingsOf(server)
  const others = allowed.filter((core) => core !== server)
  const client = others.find((core) => !siblings.includes(core)) ?? others[0] ?? 0
  return { server, client, shared: siblings.includes(client) }
}

/** @param {number} core */
function siblingsOf(core) {
  try {
    const file = `/sys/devices/system/cpu/cpu${core}/topology/thread_siblings_list`
    return parseList(readFileSync(file, 'utf8'))
  } catch {
    return []
  }
}

/**
 * @param {string} list `0-3,6`
 * @returns {number[]}
 */
export function parseList(list) {
  return list
    .trim()
    .split(',')
    .flatMap((range) => {
      const [from = Number.NaN, to = from] = range.split('-').map(Number)
      return Array.from({ length: to - from + 1 || 0 }, (_, i) => from + i)
    })
}
