import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../', import.meta.url))
const compiler = fileURLToPath(new URL('../../../../node_modules/typescript/bin/tsc', import.meta.url))

/** The sources compiled to JavaScript, for child processes: Node 20 does not run TypeScript. */
export interface Compiled {
  /** Writes a module that may import `./sql.js` and others; returns its path. */
  script(name: string, text: string): Promise<string>
  remove(): Promise<void>
}

export async function compile(entry: string): Promise<Compiled> {
  // Below the package, so that its dependencies are found.
  const parent = join(root, 'node_modules')
  await mkdir(parent, { recursive: true })
  const folder = await mkdtemp(join(parent, '.test-'))
  const flags = '--ignoreConfig --noCheck --module nodenext --target es2023 --rewriteRelativeImportExtensions'
  const paths = ['--rootDir', join(root, 'src'), '--outDir', folder, join(root, 'src', entry)]
  await promisify(execFile)(process.execPath, [compiler, ...flags.split(' '), ...paths])
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  return {
    async script(name, text) {
      const path = join(folder, name)
      await writeFile(path, text)
      return path
    },
    remove: () => rm(folder, { recursive: true }),
  }
}
