/*
 * Vite's hot reload on the application's own server and port: a function of `handlers` hands it the upgrades that the gate
 * allows, next to a WebSocketServer with a deferred rule.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGate } from 'upgate'
import { asPrincipal } from 'upgate/testing'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { createServer as createVite } from 'vite'
import { afterEach, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function stage() {
  const root = mkdtempSync(join(tmpdir(), 'upgate-vite-'))
  // Vite listens for upgrades of this server, which has no port: the guard alone hands it any.
  const hotReload = createServer()
  const vite = await createVite({
    root,
    configFile: false,
    logLevel: 'silent',
    appType: 'custom',
    cacheDir: join(root, 'cache'),
    optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, watch: null, hmr: { server: hotReload, path: '/hmr' } },
  })
  const ada = asPrincipal({ id: 'ada' })
  const gate = createGate({
    origins: ['http://app.example.com'],
    schemes: [ada.scheme],
    logger: { warn() {}, error() {} },
    rules: [
      { path: '/hmr', access: 'required' },
      { path: '/ws', access: 'deferred', kinds: ['user'], handshake: upgateHandshake() },
    ],
  })
  const server = createServer(vite.middlewares)
  const guard = guardServer(server, gate, {
    sockets: { '/ws': new WebSocketServer({ noServer: true }) },
    handlers: {
      '/hmr': (request, socket, head) => hotReload.emit('upgrade', request, socket, head),
    },
  })
  guard.on('/ws', (socket, _request, principal) => socket.send(`hello ${principal.id}`))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(
    () => rmSync(root, { recursive: true, force: true }),
    () => server.close(),
    () => vite.close(),
    () => guard.close(),
  )
  const { port } = server.address() as AddressInfo
  const open = (path: string, protocols: string[], headers: Readonly<Record<string, string>> = {}) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { headers })
    socket.on('error', () => {})
    return socket
  }
  return { ada, gate, guard, vite, open }
}

const nextOf = async (socket: WebSocket): Promise<unknown> => {
  const [data] = await once(socket, 'message')
  return JSON.parse(String(data))
}

it('reaches developers that the gate lets in, and ends with their login', async () => {
  const { ada, gate, guard, vite, open } = await stage()
  const [, refused] = await once(open('/hmr', ['vite-hmr']), 'unexpected-response')
  expect([refused.statusCode, vite.ws.clients.size]).toEqual([401, 0])

  const socket = open('/hmr', ['vite-hmr'], ada.headers)
  expect(await nextOf(socket)).toEqual({ type: 'connected' })
  const update = nextOf(socket)
  vite.ws.send({ type: 'full-reload' })
  expect(await update).toMatchObject({ type: 'full-reload' })
  expect(guard.counts).toMatchObject({ handled: 1, unprovenHandled: 0 })

  const closed = new Promise((resolve) => socket.once('close', resolve))
  gate.connections.close({ principalId: 'ada' }, 'revoked')
  expect(await closed).toBe(1006)
  expect(guard.counts.handled).toBe(0)
})

it('gets no upgrade of another path, and the application keeps its own', async () => {
  const { ada, vite, open } = await stage()
  const socket = open('/ws', ['vite-hmr'])
  await once(socket, 'open')
  const said: string[] = []
  const both = new Promise<void>((resolve) => {
    socket.on('message', (data) => {
      if (said.push(String(data)) === 2) resolve()
    })
  })
  socket.send(JSON.stringify({ type: 'auth', token: ada.token }))
  await both
  expect(said).toEqual([expect.stringContaining('"auth_ok"'), 'hello ada'])
  expect(vite.ws.clients.size).toBe(0)
  socket.terminate()
})
