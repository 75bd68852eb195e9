/* The program about renewing a credential, as printed. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Services } from 'upgate'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'

const guide = readFileSync(new URL('../../docs/guide-websockets.md', import.meta.url), 'utf8')
const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0)) await undo()
})

interface Program {
  readonly server: Server
  readonly services: Services
}

async function run(snippet: string): Promise<Program> {
  const folder = mkdtempSync(fileURLToPath(new URL('tmp-', import.meta.url)))
  cleanup.push(() => rmSync(folder, { recursive: true }))
  writeFileSync(
    `${folder}/server.mjs`,
    `
import { createServer } from 'node:http'
import { createGate, createServices, deviceToken, memoryStore } from 'upgate'
import { guardServer, jsonFrame } from 'upgate/ws'
import { WebSocketServer } from 'ws'
export const services = createServices({ store: memoryStore() })
const handshake = jsonFrame({ credential: (message) => message.token })
const readMessage = (data) => JSON.parse(data)
const gate = createGate({
  origins: ['http://localhost'],
  schemes: [deviceToken({ devices: services.devices })],
  rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake }],
})
export const server = createServer()
const nodes = new WebSocketServer({ noServer: true })
${snippet}
nodes.on('connection', (socket, request) => {
  socket.on('message', () => socket.send(JSON.stringify({ me: gate.principalOf(request).scopes })))
})
server.listen(0, '127.0.0.1')
`,
  )
  const program = (await import(`${folder}/server.mjs`)) as Program
  await once(program.server, 'listening')
  cleanup.push(() => {
    program.server.closeAllConnections()
    program.server.close()
    return program.services.close()
  })
  return program
}

test('a protocol with a message for it renews the credential of its sockets', async () => {
  const snippet = /^## Renewing .*?^```js\n(.*?)^```/ms.exec(guide)?.[1]
  const { server, services } = await run(snippet ?? '')
  const device = await services.devices.create({ name: 'kitchen', scopes: ['a'] })
  const other = await services.devices.create({ name: 'bath', scopes: ['a'] })
  const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`)
  cleanup.unshift(() => socket.terminate())
  const answers: Record<string, unknown>[] = []
  socket.on('message', (data) => answers.push(JSON.parse(String(data))))
  const say = (method: string, token?: string): void => socket.send(JSON.stringify({ method, id: 1, token }))
  const heard = async (count: number): Promise<void> => {
    while (answers.length < count) await once(socket, 'message')
  }
  // The one before counts for another minute: long enough to come back with it, and to be given the new one.
  const rotated = await services.devices.rotate(device.id, { overlap: 60_000 })
  if (rotated.outcome !== 'done') throw new Error(rotated.reason)
  await once(socket, 'open')
  say('auth', device.token)
  await heard(1)
  expect(answers[0]).toMatchObject({ type: 'auth_ok', expiresAt: rotated.previousUntil })
  say('auth.renew', 'no token at all, but long enough')
  await heard(3)
  say('auth.renew', rotated.token)
  await heard(5)
  say('auth.renew', other.token)
  const [code, reason] = await once(socket, 'close')
  expect([code, String(reason)]).toEqual([4403, 'principal_mismatch'])
  const told = answers.filter(({ id }) => id === 1)
  expect(told).toEqual([
    { id: 1, ok: false, code: 'invalid_credential' },
    { id: 1, ok: true },
    { id: 1, ok: false, code: 'principal_mismatch' },
  ])
})
