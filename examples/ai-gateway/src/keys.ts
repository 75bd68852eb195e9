import { readDataDir } from './config.ts'
import { openRecords, useModels } from './gateway.ts'

const help = `Makes, lists and revokes the keys of callers, also while the proxy runs.

  npm run keys -w examples/ai-gateway -- create <name>
  npm run keys -w examples/ai-gateway -- list
  npm run keys -w examples/ai-gateway -- revoke <id>

DATA_DIR must be that of the proxy. Revoking ends the answers that are still running within a second.`

process.umask(0o077)
const [verb, argument = ''] = process.argv.slice(2)
const print = (line: string): void => void process.stdout.write(`${line}\n`)

if (verb === undefined || !['create', 'list', 'revoke'].includes(verb)) {
  print(help)
  process.exit(verb === undefined || verb === '--help' ? 0 : 2)
}
const { store, services } = await openRecords(readDataDir(process.env))
try {
  if (verb === 'create') {
    const { id, token } = await services.keys.create({ name: argument, scopes: [useModels] })
    print(`Key ${id}, shown only now: ${token}`)
  } else if (verb === 'list') {
    for (const { id, name, createdAt } of await services.keys.list()) {
      print(`${id}  ${new Date(createdAt).toISOString()}  ${name}`)
    }
  } else if ((await services.keys.revoke(argument)) === undefined) {
    process.stderr.write('There is no key with this id.\n')
    process.exitCode = 1
  } else print(`Revoked ${argument}`)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : 'unknown error'}\n`)
  process.exitCode = 2
} finally {
  await services.close()
  await store.close()
}
