import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { buildSync } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))
const cache = join(root, 'node_modules', '.cache')

/** The programs as they are built. */
export const built = {
  gateway: join(root, 'examples', 'gateway', 'dist', 'main.js'),
  command: join(root, 'packages', 'cli', 'dist', 'bin.js'),
}

/** What the joined programs depend on: a record of `tsc` names the hash of each source. */
const sources = [
  ...['packages/upgate', 'packages/client', 'packages/diagnosis', 'packages/cli', 'examples/gateway'].map(
    (folder) => `${folder}/dist/.tsbuildinfo`,
  ),
  'packages/upgate/dist/core/.tsbuildinfo',
  'package-lock.json',
  'test/gateway/joined-program.ts',
]

const joined: Partial<Record<keyof typeof built, string>> = {}

/**
 * A program and all that it imports, joined into a few files: the same code, but a start of the gateway takes 40 % of the CPU
 * time, most of which Node spends on finding and linking 750 modules. Joined once for each build, and kept.
 */
export function joinedProgram(name: keyof typeof built): string {
  joined[name] ??= join(joinOnce(name), basename(built[name]))
  return joined[name]
}

function joinOnce(name: keyof typeof built): string {
  const prefix = `upgate-${name}-`
  const hash = createHash('sha256')
  for (const file of sources) hash.update(readFileSync(join(root, file)))
  const folder = join(cache, `${prefix}${hash.digest('hex').slice(0, 16)}`)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const made = mkdtempSync(join(cache, 'joining-'))
  buildSync({
    entryPoints: [built[name]],
    outdir: made,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // Native code, optional packages that are not installed, and one of CommonJS whose names only Node finds in `import()`.
    external: ['libsql', 'redis', 'pg-native', 'bufferutil', 'utf-8-validate'],
    // Files that it serves are found from where it was built.
    define: { 'import.meta.url': JSON.stringify(pathToFileURL(built[name]).href) },
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
  for (const other of readdirSync(cache))
    if (other.startsWith(prefix) && join(cache, other) !== folder)
      rmSync(join(cache, other), { recursive: true })
  return folder
}
