import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { buildSync } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))
const cache = join(root, 'node_modules', '.cache')

/** The example gateway as it is built. */
export const builtProgram: string = join(root, 'examples', 'gateway', 'dist', 'main.js')

/** What the joined program depends on: a record of `tsc` names the hash of each source. */
const sources = [
  ...['packages/upgate', 'packages/client', 'packages/diagnosis', 'examples/gateway'].map(
    (folder) => `${folder}/dist/.tsbuildinfo`,
  ),
  'packages/upgate/dist/core/.tsbuildinfo',
  'package-lock.json',
  'test/gateway/joined-program.ts',
]

const prefix = 'upgate-gateway-'
let joined: string | undefined

/**
 * The gateway and all that it imports, joined into a few files: the same code, but a start takes 40 % of the CPU time, most
 * of which Node spends on finding and linking 750 modules. Joined once for each build, and kept.
 */
export function joinedProgram(): string {
  joined ??= join(joinOnce(), 'main.js')
  return joined
}

function joinOnce(): string {
  const hash = createHash('sha256')
  for (const file of sources) hash.update(readFileSync(join(root, file)))
  const folder = join(cache, `${prefix}${hash.digest('hex').slice(0, 16)}`)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const made = mkdtempSync(join(cache, 'joining-'))
  buildSync({
    entryPoints: [builtProgram],
    outdir: made,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // Native code, and optional packages that are not installed.
    external: ['libsql', 'pg-native', 'bufferutil', 'utf-8-validate'],
    // Files that it serves are found from where it was built.
    define: { 'import.meta.url': JSON.stringify(pathToFileURL(builtProgram).href) },
    // For packages of CommonJS.
    banner: { js: `import { createRequire as r } from 'node:module'; const require = r(import.meta.url);` },
    minifyWhitespace: true,
    logLevel: 'error',
  })
  try {
    renameSync(made, folder)
  } catch (error) {
    // Another worker was first.
    rmSync(made, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
  for (const name of readdirSync(cache))
    if (name.startsWith(prefix) && join(cache, name) !== folder)
      rmSync(join(cache, name), { recursive: true })
  return folder
}
