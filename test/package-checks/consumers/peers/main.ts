// An Express application with `ws` and SQLite: a node that proves itself in its first frame, and one that does not.
import { deepStrictEqual, strictEqual } from 'node:assert'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { createGate, createServices, deviceToken, sessionCookie } from 'upgate'
import { expressGate } from 'upgate/express'
import { authFrame, parseServerFrame } from 'upgate/protocol'
import { sqliteStore } from 'upgate/sql'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocket, WebSocketServer } from 'ws'

// Listening first: until the gate stands, nothing is attached that could answer.
const server = createServer()
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const store = await sqliteStore({ file: 'data/records.db' })
const services = createServices({ store })
const gate = createGate({
  origins: ['https://gateway.example.com'],
  hosts: [`127.0.0.1:${port}`],
  schemes: [sessionCookie({ sessions: services.sessions }), deviceToken({ devices: services.devices })],
  rules: [
    { path: '/health', access: 'public' },
    { path: '/live', access: 'public', upgrade: true },
    { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
  ],
})

const app = express()
app.use(expressGate(gate))
app.get('/health', (_request, response) => {
  response.send('fine')
})
server.on('request', app)
const nodes = new WebSocketServer({ noServer: true })
const live = new WebSocketServer({ noServer: true })
const guarded = guardServer(server, gate, { sockets: { '/ws': nodes, '/live': live }, hold: 0 })
guarded.on('/ws', (socket, _request, principal) => {
  socket.send(`welcome ${principal.displayName}`)
})
guarded.onOptional('/live', (socket, request, principal) => {
  const url: string | undefined = request.url
  const same: typeof principal = gate.principalOf(request)
  socket.send(`${url} ${same?.id}`)
})
// What must not compile.
// @ts-expect-error a principal is no Date
guarded.on('/ws', (_socket, _request, principal: Date) => principal)
// @ts-expect-error a path with a public rule may have no principal
guarded.onOptional('/live', (socket, _request, principal) => socket.send(principal.id))
// @ts-expect-error nor what a request is from
app.use((request, response) => response.send(gate.principalOf(request).id))
try {
  // @ts-expect-error a path without a WebSocketServer
  guarded.on('/wss', () => {})
  throw new Error('a typo was not noticed')
} catch (error) {
  strictEqual(error instanceof TypeError, true)
}
strictEqual((await fetch(`http://127.0.0.1:${port}/health`)).status, 200)
strictEqual((await fetch(`http://127.0.0.1:${port}/secret`)).status, 401)

const { id, token } = await services.devices.create({ name: 'kitchen' })
const good = await talk(token)
deepStrictEqual(parseServerFrame(good.messages[0] ?? '')?.type, 'auth_ok')
strictEqual(good.messages[1], 'welcome kitchen')
strictEqual((await services.devices.revoke(id))?.id, id)
strictEqual(await good.closed, 4403)

const bad = await talk('ugd_nobody')
deepStrictEqual(parseServerFrame(bad.messages[0] ?? '')?.type, 'auth_error')
strictEqual(await bad.closed, 4401)

const stopped = once(server, 'close')
server.close()
await guarded.close()
await stopped
await services.close()
await store.close()

/** Sends a token in the first frame; answers after the second message, or after the end. */
async function talk(token: string): Promise<{ messages: string[]; closed: Promise<number> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`)
  const messages: string[] = []
  const closed = once(socket, 'close').then(([code]) => Number(code))
  const greeted = new Promise<void>((resolve) => {
    socket.on('message', (data) => {
      if (messages.push(String(data)) === 2) resolve()
    })
  })
  await once(socket, 'open')
  socket.send(authFrame({ token }))
  await Promise.race([greeted, closed])
  return { messages, closed }
}
