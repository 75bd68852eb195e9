import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { startTwoGateways } from './two-gateways.ts'

const help = `Two gateways, each a node of the other; the east reaches the west through a forwarded port.

Usage: npm start [-- flags]
  --pages            leave the pairing to the pages, and say how
  --east PORT        port of the one (default: 8787)
  --west PORT        port of the other (default: 8788)
  --tunnel PORT      forwarded port that leads to the west (default: 8789)
  --data-dir FOLDER  keep both databases there (default: a temporary folder)
  --help

ADMIN_PASSWORD sets the password of ada@example.com at both; otherwise it is made and printed.`

const write = (line: string): void => void process.stdout.write(`${line}\n`)

try {
  const { values } = parseArgs({
    options: {
      pages: { type: 'boolean', default: false },
      east: { type: 'string', default: '8787' },
      west: { type: 'string', default: '8788' },
      tunnel: { type: 'string', default: '8789' },
      'data-dir': { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) write(help)
  else {
    const ports = { east: portOf(values.east), west: portOf(values.west), tunnel: portOf(values.tunnel) }
    await run(ports, values['data-dir'], values.pages)
  }
} catch (error) {
  process.stderr.write(`Cannot start: ${error instanceof Error ? error.message : 'unknown error'}\n`)
  process.exit(1)
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port <= 65_535) return port
  throw new Error(`${JSON.stringify(text)} is no port. Try --help.`)
}

async function run(
  ports: { readonly east: number; readonly west: number; readonly tunnel: number },
  dataDir: string | undefined,
  byPages: boolean,
): Promise<void> {
  const email = 'ada@example.com'
  const { ADMIN_PASSWORD = '' } = process.env
  const password = ADMIN_PASSWORD === '' ? randomBytes(12).toString('base64url') : ADMIN_PASSWORD
  const both = await startTwoGateways({ ports, dataDir, email, password, write })
  const { east, west, tunnel, urls } = both
  let stopping = false
  const stop = (code: number): void => {
    if (stopping) return
    stopping = true
    void both.stop().then(() => process.exit(code))
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop(0))
  void Promise.race([east.exited, west.exited]).then(() => stop(1))
  if (!byPages) await both.pair()
  const login = ADMIN_PASSWORD === '' ? `${email}, password ${password}` : `${email}, ADMIN_PASSWORD`
  // Cookies do not know ports: two names keep the two logins of one browser apart.
  write(`
Ready. East: http://127.0.0.1:${east.port}  West: http://localhost:${west.port}  (${login})
The port ${tunnel.port} is forwarded to the west. Type \`cut\` to cut it, \`restore\` to restore it, Ctrl+C to stop.`)
  if (byPages) {
    write(`
1. West, page Nodes: "Create a code".
2. East, page Remote: ${urls.ofWest} and the code. It shows six characters.
3. West, page Nodes: "Approve" in the row with the same characters, and type them.
4. The other way round, with ${urls.ofEast}.`)
  }
  createInterface({ input: process.stdin }).on('line', (line) => {
    const done = line === 'cut' ? tunnel.cut() : line === 'restore' ? tunnel.restore() : undefined
    done?.then(
      () => write(`tunnel: ${line} done`),
      () => write(`tunnel: ${line} is not possible now`),
    )
  })
}
