import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createEdgeSim } from '@upgate/edge-sim'

const { PORT = '8788', DATA_DIR } = process.env
const gateway = fileURLToPath(new URL('../gateway/dist/main.js', import.meta.url))
if (!existsSync(gateway)) {
  console.error('The gateway is not built: run `npm run build` in the root of the repository first.')
  process.exit(2)
}

// The edge: one application on localhost, which a browser of this machine can open.
const sim = createEdgeSim({
  port: Number(PORT),
  urls: 'loopback',
  users: [
    { email: 'ada@example.com', name: 'Ada, the admin of the gateway' },
    { email: 'bob@example.com', name: 'Bob, whom the gateway does not know' },
  ],
  applications: [
    { name: 'gateway', host: 'localhost', policies: [{ action: 'service_auth' }, { action: 'allow' }] },
  ],
  onRequest: ({ status, outcome, method, path, upgrade, identity }) => {
    // Paths come from clients: they must not bring control characters to a terminal.
    const what = `${upgrade ? 'UPGRADE' : method} ${path.replace(/[^\x20-\x7e]/g, '?')}`
    console.log(`edge: ${status || '---'} ${outcome} ${what}${identity ? ` as ${identity.id}` : ''}`)
  },
})
await sim.start()
const site = `http://localhost:${sim.port}`
const service = sim.addServiceToken({ name: 'cellar' })

// The gateway: knows which team and application to believe, and that the keys are the simulator's.
const folder = DATA_DIR ?? mkdtempSync(join(tmpdir(), 'behind-cloudflare-'))
const child = spawn(process.execPath, [gateway], {
  env: {
    ...process.env,
    HOST: '127.0.0.1',
    PORT: '0',
    PUBLIC_URL: site,
    TRUST_PROXY: 'loopback',
    DATA_DIR: folder,
    ADMIN_EMAIL: 'ada@example.com',
    ADMIN_PASSWORD: '',
    CF_ACCESS_TEAM: 'acme',
    CF_ACCESS_AUD: sim.application('gateway').aud,
    CF_ACCESS_SIMULATOR: sim.url,
  },
  stdio: ['ignore', 'pipe', 'inherit'],
})
createInterface({ input: child.stdout }).on('line', (line) => {
  console.log(`gateway: ${line}`)
  const address = /^Listening on (127\.0\.0\.1:\d+)$/.exec(line)?.[1]
  if (address === undefined) return
  sim.addHost('localhost', `http://${address}`)
  console.log(`
Ready: ${site}

1. Open ${site} in a browser of this machine and choose Ada. You are on the pages of the gateway, without a password.
   (Bob gets through the edge, too, and is refused by the gateway: it has no account for him.)
2. Create a device there, and copy its token.
3. Connect it as a node. The service token opens the edge, the device token in the first frame proves who it is:

   CF_ACCESS_CLIENT_ID=${service.clientId} \\
   CF_ACCESS_CLIENT_SECRET=${service.clientSecret} \\
   UPGATE_TOKEN='the device token' npm run node -w examples/behind-cloudflare -- ws://localhost:${sim.port}/ws

4. Leave one of the three out, and see who refuses it. Type \`rotate\` here to rotate the signing keys of Access,
   \`outage\` to let the edge lose them, \`back\` to end that, and Ctrl+C to stop.
`)
})

/** Ends both; the gateway gets the time to close its sockets. */
let stopping = false
async function stop(code = 0) {
  if (stopping) return
  stopping = true
  if (child.exitCode === null) {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await ended
  }
  await sim.stop()
  if (DATA_DIR === undefined) rmSync(folder, { recursive: true, force: true })
  process.exit(code)
}
child.once('exit', (code) => void stop(code ?? 1))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void stop())

createInterface({ input: process.stdin }).on('line', async (line) => {
  if (line === 'rotate') console.log(`edge: signs with ${(await sim.rotateKeys('acme')).slice(0, 8)}... now`)
  else if (line === 'outage') {
    sim.inject({ kind: 'jwks', mode: 'error' })
    console.log('edge: the signing keys cannot be fetched now; the gateway goes on with those it has')
  } else if (line === 'back') {
    sim.clearFaults()
    console.log('edge: the signing keys can be fetched again')
  }
})
