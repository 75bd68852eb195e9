import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { npm, staleness } from '../../scripts/lib/install.mjs'
import { track } from './children.mjs'

/** The libraries that Upgate is compared with: they have a lock file of their own, so that only the benchmark installs them. */
const folder = fileURLToPath(new URL('../peers', import.meta.url))

/** @returns {boolean} Whether they are installed as their lock file says */
export function peersInstalled() {
  return staleness(folder) === undefined
}

/**
 * Installs them where they are missing or stale.
 *
 * @param {(text: string) => void} say
 * @returns {Promise<boolean>} Whether they are there
 */
export async function installPeers(say) {
  const reason = staleness(folder)
  if (reason === undefined) return true
  const { packages } = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'))
  say(
    `Installing the libraries that Upgate is compared with (bench/peers: ${Object.keys(packages).length - 1} packages, ` +
      `about 70 MB): ${reason}. --no-peers leaves them out.`,
  )
  const begun = performance.now()
  const [command, args] = npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 2, 2] })
  track(child)
  const failed = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : `npm ended with ${signal ?? code}`))
  })
  const problem = failed ?? staleness(folder)
  if (problem === undefined) {
    say(`Installed in ${((performance.now() - begun) / 1000).toFixed(0)} s.`)
    return true
  }
  say(
    `They could not be installed: ${problem}. Is the npm registry within reach? --no-peers leaves them out.`,
  )
  return false
}

/** The version that is installed. @param {string} name */
export function versionOfPeer(name) {
  const file = join(folder, 'node_modules', name, 'package.json')
  return existsSync(file) ? String(JSON.parse(readFileSync(file, 'utf8')).version) : ''
}

/**
 * The installed versions of these libraries, for the page.
 *
 * @param {readonly string[]} names
 */
export function versionsOfPeers(names) {
  return Object.fromEntries([...new Set(names)].map((name) => [name, versionOfPeer(name)]))
}
