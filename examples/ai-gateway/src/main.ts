import { readConfig } from './config.ts'
import { startAiGateway } from './gateway.ts'

process.umask(0o077)
const write = (message: string): void => void process.stdout.write(`${message}\n`)

try {
  const config = readConfig(process.env)
  const gateway = await startAiGateway(config, { warn: write, error: write })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void gateway.close().then(() => process.exit(0)))
  }
  write(`AI gateway ready: ${gateway.origin}/v1, in front of ${config.upstream.origin}`)
  if ((await gateway.services.keys.list()).length === 0) {
    write('Next step: make a key with `npm run keys -w examples/ai-gateway -- create <name>`')
  }
} catch (error) {
  process.stderr.write(`Cannot start: ${error instanceof Error ? error.message : 'unknown error'}\n`)
  process.exit(1)
}
