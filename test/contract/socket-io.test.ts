/* socket.io on a guarded server: polling requests and upgrades are decided before it sees them. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { io as connect } from 'socket.io-client'
import { createGate } from 'upgate'
import { endWithCredential } from 'upgate/node'
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

it('ends a long poll at logout, and delivers no further batch', async () => {
  const { scheme, headers } = asPrincipal({ id: 'alice' })
  const server = createServer()
  const gate = createGate({ schemes: [scheme] })
  const io = new Server(server, { transports: ['polling'] })
  // In front of socket.io, as the guide prints it.
  server.prependListener('request', (request, response) => {
    if (request.url?.startsWith('/socket.io/')) endWithCredential(gate, request, response)
  })
  guardServer(server, gate)
  const joined = new Promise<import('socket.io').Socket>((resolve) => io.on('connection', resolve))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = connect(url, {
    transports: ['polling'],
    reconnection: false,
    extraHeaders: headers as Record<string, string>,
  })
  const heard: unknown[] = []
  client.on('news', (text) => heard.push(text))
  try {
    const socket = await joined
    socket.emit('news', 'before')
    await expect.poll(() => heard).toEqual(['before'])
    // The next long poll is under way.
    await expect.poll(() => gate.connections.size).toBe(1)
    const gone = new Promise((resolve) => client.on('disconnect', resolve))
    expect(gate.connections.close({ principalId: 'alice' }, 'logged_out')).toBe(1)
    socket.emit('news', 'after')
    expect(await gone).toBe('transport error')
    expect(heard).toEqual(['before'])
    expect(gate.connections.size).toBe(0)
  } finally {
    client.close()
    server.closeAllConnections()
    await io.close()
  }
})
