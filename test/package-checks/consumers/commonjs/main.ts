// An application in CommonJS: its imports are compiled to `require`, and Node requires the ES modules. TypeScript
// before 5.8 does not believe that under `nodenext`, and has `await import('upgate')`.
import { strictEqual } from 'node:assert'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGate, createServices, deviceToken, memoryStore } from 'upgate'
import { authFrame, parseServerFrame } from 'upgate/protocol'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocket, WebSocketServer } from 'ws'

async function main(): Promise<void> {
  strictEqual(typeof require, 'function')
  const services = createServices({ store: memoryStore() })
  const gate = createGate({
    origins: ['https://gateway.example.com'],
    schemes: [deviceToken({ devices: services.devices })],
    rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() }],
  })
  const server = createServer()
  const guard = guardServer(server, gate, { sockets: { '/ws': new WebSocketServer({ noServer: true }) } })
  guard.on('/ws', (socket, _request, principal) => socket.send(`welcome ${principal.displayName}`))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const { token } = await services.devices.create({ name: 'kitchen' })
  const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`)
  const messages: string[] = []
  const greeted = new Promise<void>((resolve) => {
    socket.on('message', (data) => {
      if (messages.push(String(data)) === 2) resolve()
    })
  })
  await once(socket, 'open')
  socket.send(authFrame({ token }))
  await greeted
  strictEqual(parseServerFrame(messages[0] ?? '')?.type, 'auth_ok')
  strictEqual(messages[1], 'welcome kitchen')

  server.close()
  await guard.close()
  await services.close()
}

void main()
