// The programs of the guide run as printed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { stripTypes } from './strip-types.ts'

const guide = readFileSync(new URL('../../docs/guide-pairing.md', import.meta.url), 'utf8')
const [program = '', approval = '', tickets = '', page = ''] = [
  ...guide.matchAll(/^```[jt]s\n(.*?)^```/gms),
].map(([, code = '']) => stripTypes(code))
const cleanup: (() => void)[] = []
afterEach(() => {
  for (const undo of cleanup.splice(0)) undo()
})

async function run(source: string): Promise<string> {
  const folder = mkdtempSync(fileURLToPath(new URL('tmp-', import.meta.url)))
  cleanup.push(() => rmSync(folder, { recursive: true }))
  writeFileSync(`${folder}/program.mjs`, source)
  const child = spawn(process.execPath, ['--disable-warning=UpgateWarning', 'program.mjs'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [status] = await once(child, 'close')
  expect(status, output).toBe(0)
  return output
}

test('the whole program pairs a device', async () => {
  expect(await run(program)).toMatch(/^pairing_required [2-9A-Z]{6}\nauth_ok [0-9A-Za-z]{12} ugd_\n$/)
})

test('the routes for approval and for tickets, and the page', async () => {
  const output = await run(`
import express from 'express'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { createGate, createServices, memoryStore, sessionCookie, ticket } from 'upgate'
import { expressGate } from 'upgate/express'
import { ticketEndpoint } from 'upgate/node'
import { guardServer } from 'upgate/ws'
import WebSocketClient, { WebSocketServer } from 'ws'

const services = createServices({ store: memoryStore() })
const app = express()
${tickets}
app.use(express.json())
${approval}
const { account } = await services.accounts.createFirst({ email: 'ada@example.com', scopes: ['node.run'] })
const { token } = await services.sessions.create(account.id)
const server = createServer(app)
const chats = new WebSocketServer({ noServer: true })
chats.on('connection', (socket, request, principal) => socket.send(principal.id))
guardServer(server, gate, { sockets: { '/ws/chat': chats } })
await once(server.listen(0, '127.0.0.1'), 'listening')
const base = \`127.0.0.1:\${server.address().port}\`
const headers = {
  host: 'gateway.example.com',
  origin: 'https://gateway.example.com',
  cookie: \`__Host-upgate_session=\${token}\`,
}
const { request } = await import('node:http')
async function send(path, body) {
  const asked = request(\`http://\${base}\${path}\`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
  })
  asked.end(body)
  const [response] = await once(asked, 'response')
  let text = ''
  for await (const chunk of response) text += chunk
  return { status: response.statusCode, json: async () => JSON.parse(text) }
}
const decided = await send('/api/pairing/nothing/approve', '{}')
console.log(decided.status, (await decided.json()).code)

// What a browser does by itself.
const fetch = (path, { body }) => send(path, body)
const { cookie, ...ofPage } = headers
class WebSocket extends WebSocketClient {
  constructor(path, protocols) {
    super(\`ws://\${base}\${path}\`, protocols, { headers: ofPage })
  }
}
{
${page}
const [data] = await once(socket, 'message')
console.log(socket.protocol, String(data) === account.id)
}
process.exit()
`)
  expect(output).toBe('409 unknown_request\nchat.v1 true\n')
})
