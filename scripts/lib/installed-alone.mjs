import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './children.mjs'
import { npm } from './install.mjs'
import { readJson } from './paths.mjs'

/**
 * The most that an installation of one package may bring: packages, itself included, and kilobytes on the disk. Raise a
 * bound in the commit that needs it.
 *
 * @type {Readonly<Record<string, { packages: number, kilobytes: number }>>}
 */
export const bounds = {
  upgate: { packages: 4, kilobytes: 1500 },
  '@upgate/diagnosis': { packages: 1, kilobytes: 150 },
  '@upgate/client': { packages: 7, kilobytes: 1950 },
  '@upgate/cli': { packages: 8, kilobytes: 2050 },
  '@upgate/edge-sim': { packages: 2, kilobytes: 380 },
}

/**
 * Installs one packed package into an empty folder, as a user does, and measures the result.
 *
 * @param {{ name: string, tarball: string }} one
 * @param {{ folder: string, packed: readonly { name: string, tarball: string }[], overrides: Readonly<Record<string, unknown>> }} options
 *   `overrides`: versions of the dependencies, by the name of the dependent package
 * @returns {Promise<{ folder: string, problems: string[], packages: number, kilobytes: number }>}
 */
export async function installAlone({ name, tarball }, { folder, packed, overrides }) {
  const target = join(folder, `alone-${name.replace(/\W+/g, '-')}`)
  mkdirSync(target)
  // Packages of this repository that it depends on come from their tarballs; the registry may not have them yet.
  const isOurs = (/** @type {string} */ each) => packed.some((other) => other.name === each)
  const foreign = (/** @type {string} */ each) =>
    Object.fromEntries(Object.entries(overrides[each] ?? {}).filter(([other]) => !isOurs(other)))
  const ours = Object.fromEntries(
    packed
      .filter((other) => other.name !== name)
      .map((other) => [other.name, { '.': `file:${other.tarball}`, ...foreign(other.name) }]),
  )
  writeFileSync(
    join(target, 'package.json'),
    JSON.stringify({ private: true, type: 'module', overrides: { ...ours, [name]: foreign(name) } }),
  )
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const [command, args] = npm(['install', ...flags, tarball])
  const { code, output } = await run(command, args, { cwd: target })
  if (code !== 0)
    return {
      folder: target,
      problems: [`${name}: npm install into an empty folder failed:\n${output}`],
      packages: 0,
      kilobytes: 0,
    }
  const record = readJson(join(target, 'node_modules', '.package-lock.json')).packages
  const packages = Object.keys(record).length
  const kilobytes = Math.ceil(sizeOf(join(target, 'node_modules')) / 1000)
  const bound = bounds[name]
  const problems =
    bound === undefined
      ? [`${name}: scripts/lib/installed-alone.mjs has no bound for its installation`]
      : packages > bound.packages || kilobytes > bound.kilobytes
        ? [
            `${name}: an installation brings ${packages} packages and ${kilobytes} kB; the bound is ${bound.packages} and ${bound.kilobytes} (scripts/lib/installed-alone.mjs)`,
          ]
        : []
  return { folder: target, problems, packages, kilobytes }
}

/**
 * Runs the installed command as a user does: its help, a diagnosis of a gate that runs there, and a node.
 *
 * @param {string} folder
 * @returns {Promise<string[]>} Problems
 */
export async function useCommand(folder) {
  /** @type {string[]} */
  const problems = []
  const npx = async (/** @type {string[]} */ args, /** @type {Record<string, string>} */ env = {}) => {
    const [command, rest] = npm(['exec', '--no', '--', 'upgate', ...args])
    return run(command, rest, { cwd: folder, env: { NO_COLOR: '1', ...env } })
  }
  const expect = (
    /** @type {string} */ what,
    /** @type {{ code: number, output: string }} */ { code, output },
    /** @type {number} */ status,
    /** @type {string} */ text,
  ) => {
    if (code !== status || !output.includes(text))
      problems.push(`npx upgate ${what}: exit status ${code}, and this output, without "${text}":\n${output}`)
  }
  expect('doctor --help', await npx(['doctor', '--help']), 0, 'Usage: upgate doctor <url>')
  writeFileSync(join(folder, 'gate.mjs'), gate)
  const server = spawn(process.execPath, ['gate.mjs'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const [url = '', token = ''] = await new Promise((resolve, reject) => {
      server.stdout.setEncoding('utf8').once('data', (line) => resolve(line.trim().split(' ')))
      server.once('exit', () => reject(new Error('The gate of the installed packages ended.')))
    })
    expect('doctor', await npx(['doctor', url]), 0, 'The way is clear up to the credential')
    expect(
      'doctor with a token',
      await npx(['doctor', url], { UPGATE_TOKEN: token }),
      0,
      'The connection works',
    )
    const wrong = token.replace('ugd', 'ugk')
    expect(
      'doctor with a wrong token',
      await npx(['doctor', url], { UPGATE_TOKEN: wrong }),
      3,
      'invalid_credential',
    )
    expect(
      'node with a wrong token',
      await npx(['node', url, '--once'], { UPGATE_TOKEN: wrong }),
      3,
      'invalid_credential',
    )
  } finally {
    server.kill('SIGKILL')
  }
  return problems
}

/** A gate of the packages in that folder, and nothing else. */
const gate = `import { createServer } from 'node:http'
import { createGate, createServices, deviceToken, memoryStore } from 'upgate'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocketServer } from 'ws'

const { devices } = createServices({ store: memoryStore() })
const gate = createGate({
  origins: ['http://127.0.0.1'],
  schemes: [deviceToken({ devices })],
  rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake({ deviceKeys: true }) }],
  logger: { warn() {}, error() {} },
})
const server = createServer()
const nodes = new WebSocketServer({ noServer: true }).on('connection', () => {})
guardServer(server, gate, { sockets: { '/ws': nodes } })
const { token } = await devices.create({ name: 'printer', role: 'node' })
server.listen(0, '127.0.0.1', () => console.log('ws://127.0.0.1:' + server.address().port + '/ws ' + token))
`

/** @param {string} folder Bytes of all files below it */
function sizeOf(folder) {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) bytes += sizeOf(path)
    else if (entry.isFile()) bytes += statSync(path).size
  }
  return bytes
}
