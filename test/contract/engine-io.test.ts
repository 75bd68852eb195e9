import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server as EngineServer } from 'engine.io'
import { createGate } from 'upgate'
import { guardServer, jsonFrame } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { handshake, raw, request, textFrame } from '../../packages/upgate/test/adapters/raw.ts'
import { createCredentials } from './credentials.ts'

// Pitfall 3. engine.io (the base of socket.io) listens for upgrades on the whole server. After a second it
// ends every socket of another path that has not been written to, so slow authentication turns into "socket
// hang up".

const origin = 'https://gateway.example.com'
const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

describe('engine.io on a guarded server', () => {
  it('pitfall 3: never sees the sockets of guarded paths, and is guarded itself', async () => {
    const credentials = createCredentials()
    let decide: (() => void) | undefined
    const [cookie, ...others] = credentials.schemes
    if (cookie === undefined) throw new Error('no scheme')
    const slowCookie = {
      ...cookie,
      verify: (...call: Parameters<typeof cookie.verify>) =>
        new Promise((resolve) => {
          decide = () => resolve(cookie.verify(...call))
        }),
    } as typeof cookie
    const gate = createGate({
      schemes: [slowCookie, ...others],
      origins: [origin],
      rules: [
        { path: '/engine.io/*', access: 'required', kinds: ['service'] },
        {
          path: '/ws',
          access: 'deferred',
          kinds: ['device'],
          handshake: jsonFrame({ credential: (message) => message.token }),
        },
      ],
    })
    const server = createServer((_request, response) => response.end('application'))
    servers.push(server)
    const chats = new WebSocketServer({ noServer: true })
    chats.on('connection', (ws) => ws.send('welcome to the chat'))
    const nodes = new WebSocketServer({ noServer: true })
    nodes.on('connection', (ws) => ws.send('welcome, node'))
    guardServer(server, gate, { sockets: { '/ws': nodes, '/chat': chats } })
    // Attached afterwards, as applications do; the time-out is engine.io's own, made short.
    const engine = new EngineServer({ destroyUpgradeTimeout: 50 } as never)
    engine.attach(server, { path: '/engine.io', destroyUpgradeTimeout: 50 })
    engine.on('connection', (socket) => socket.send('welcome to engine.io'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo

    const slow = raw(port, handshake('/chat', [`Cookie: ${credentials.cookie}`, `Origin: ${origin}`]))
    const silent = raw(port, handshake('/ws'))
    await silent.until(/101/)
    // Real time, because engine.io's timer is real: several times its time-out.
    await new Promise((resolve) => setTimeout(resolve, 250))
    expect(slow.text()).toBe('')
    decide?.()
    await slow.until(/welcome to the chat/)
    silent.socket.write(textFrame(JSON.stringify({ token: credentials.device })))
    await silent.until(/welcome, node/)
    slow.socket.destroy()
    silent.socket.destroy()

    const polling = '/engine.io/?EIO=4&transport=polling'
    const ask = (headers: readonly string[]): Promise<string> =>
      raw(port, request(`GET ${polling} HTTP/1.1`, ['Connection: close', ...headers])).ended()
    expect(await ask([])).toMatch(/^HTTP\/1\.1 401 /)
    expect(await ask([`Authorization: Bearer ${credentials.key}`])).toMatch(/^HTTP\/1\.1 200 .*"sid"/s)
    expect(await raw(port, handshake('/engine.io/?EIO=4&transport=websocket')).ended()).toMatch(
      /^HTTP\/1\.1 401 /,
    )
    const client = new WebSocket(`ws://127.0.0.1:${port}/engine.io/?EIO=4&transport=websocket`, {
      headers: { Host: 'gateway.example.com', Authorization: `Bearer ${credentials.key}` },
    })
    const said: string[] = []
    await new Promise<void>((resolve) =>
      client.on('message', (data) => {
        said.push(String(data))
        if (said.length === 2) resolve()
      }),
    )
    expect(said[1]).toBe('4welcome to engine.io')
    client.terminate()
    engine.close()
  })
})
