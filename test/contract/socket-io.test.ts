/* socket.io on a guarded server: polling requests and upgrades are decided before it sees them. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { io as connect } from 'socket.io-client'
import { createGate } from 'upgate'
import { asPrincipal } from 'upgate/testing'
import { guardServer } from 'upgate/ws'
import { expect, it } from 'vitest'

it.each(['polling', 'websocket'])(
  'lets %s in with the principal, and refuses it without proof',
  async (transport) => {
    const { scheme, headers } = asPrincipal({ id: 'alice' })
    const server = createServer()
    const gate = createGate({ schemes: [scheme] })
    const io = new Server(server)
    guardServer(server, gate)
    io.on('connection', (socket) => socket.emit('welcome', gate.principalOf(socket.request)?.id))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const known = connect(url, { transports: [transport], extraHeaders: headers as Record<string, string> })
    expect(await new Promise((resolve) => known.on('welcome', resolve))).toBe('alice')
    const unknown = connect(url, { transports: [transport], reconnection: false })
    expect(await new Promise((resolve) => unknown.on('connect_error', resolve))).toBeInstanceOf(Error)
    expect(io.engine.clientsCount).toBe(1)
    known.close()
    unknown.close()
    server.closeAllConnections()
    await io.close()
  },
)
