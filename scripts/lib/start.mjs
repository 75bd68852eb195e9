import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from './build.mjs'
import { dieWithChildren } from './children.mjs'
import { install } from './install.mjs'
import { root } from './paths.mjs'

const help = `Starts the example gateway (examples/gateway), after installing and building what is missing.

  npm start

It reads its settings from the environment: PORT (8787), HOST (127.0.0.1), DATA_DIR (./data), PUBLIC_URL,
TRUST_PROXY, ADMIN_EMAIL and ADMIN_PASSWORD. examples/gateway/README.md says what they mean.`

export async function main() {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    console.log(help)
    return
  }
  const stopListening = dieWithChildren()
  await install()
  const { code, output } = await build(['@upgate/example-gateway'])
  const entry = join(root, 'examples', 'gateway', 'dist', 'main.js')
  if (code !== 0 || !existsSync(entry)) {
    console.error(output)
    console.error('The build failed; the lines above say where.')
    process.exit(process.exitCode ?? 1)
  }
  stopListening()
  // The gateway runs in this very process: terminal, environment, signals and exit code are its own.
  process.argv[1] = entry
  await import(pathToFileURL(entry).href)
}
