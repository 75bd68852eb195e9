/*
 * A proxy library carries the WebSockets of a path to another server, by a function of `handlers`: the gate decides first,
 * and revocation ends the socket on both sides.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import httpProxy from 'http-proxy'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { createGate } from 'upgate'
import { asPrincipal } from 'upgate/testing'
import { guardServer, type UpgradeHandler } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo()
})

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanup.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

function closeCode(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => socket.once('close', resolve))
}

/** What applications write, with the libraries' own functions. */
const libraries: Record<string, (target: string) => UpgradeHandler> = {
  'http-proxy-middleware'(target) {
    const { upgrade } = createProxyMiddleware({ target, ws: true })
    return (request, socket, head, principal) => {
      request.headers['x-user'] = principal?.id ?? ''
      // The type of its socket is that of `net`, as Node's event has it on plain servers.
      upgrade?.(request, socket as Socket, head)
    }
  },
  'http-proxy'(target) {
    const proxy = httpProxy.createProxyServer({ target })
    proxy.on('error', (_error, _request, socket) => (socket as Socket).destroy())
    return (request, socket, head, principal) => {
      request.headers['x-user'] = principal?.id ?? ''
      proxy.ws(request, socket, head)
    }
  },
}

/** `listens`: the library's function is an `upgrade` listener of the server, as in an application without `handlers`. */
async function stage(
  handler: (target: string) => UpgradeHandler,
  { target, listens = false }: { target?: string; listens?: boolean } = {},
) {
  const upstream = createServer()
  const wss = new WebSocketServer({ server: upstream })
  const seen: IncomingMessage[] = []
  wss.on('connection', (socket, request) => {
    seen.push(request)
    socket.on('message', (data) => socket.send(`${request.headers['x-user']} said ${data}`))
  })
  const upstreamPort = await listen(upstream)
  const ada = asPrincipal({ id: 'ada' })
  const gate = createGate({
    schemes: [ada.scheme],
    logger: { warn() {}, error() {} },
    rules: [{ path: '/live/*', access: 'required' }],
  })
  const server = createServer()
  const handle = handler(target ?? `http://127.0.0.1:${upstreamPort}`)
  if (listens) {
    server.on('upgrade', (request, socket, head) =>
      handle(request, socket, head, gate.principalOf(request) as never),
    )
  }
  const guard = guardServer(server, gate, listens ? {} : { handlers: { '/live/*': handle as never } })
  const port = await listen(server)
  const open = (headers: Record<string, string>): WebSocket => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/live/x?y=1`, { headers })
    socket.on('error', () => {})
    cleanup.push(() => socket.terminate())
    return socket
  }
  return { gate, guard, wss, seen, open, proof: ada.headers }
}

describe.each(Object.entries(libraries))('%s behind `handlers`', (_name, handler) => {
  it('carries a WebSocket both ways, under the name of the principal', async () => {
    const { open, seen, guard, proof } = await stage(handler)
    const socket = open({ ...proof, 'X-User': 'root' })
    await once(socket, 'open')
    for (const text of ['one', 'x'.repeat(200_000)]) {
      socket.send(text)
      const [data] = await once(socket, 'message')
      expect(String(data)).toBe(`ada said ${text}`)
    }
    expect(seen.map(({ url, headers }) => [url, headers['x-user']])).toEqual([['/live/x?y=1', 'ada']])
    expect(guard.counts).toMatchObject({ handled: 1, unprovenHandled: 0 })
    socket.close(1000)
    expect(await closeCode(socket)).toBe(1000)
  })

  it('takes no upgrade that the gate refuses', async () => {
    const { open, seen, guard } = await stage(handler)
    const [, response] = await once(open({}), 'unexpected-response')
    expect([response.statusCode, seen.length, guard.counts.handled]).toEqual([401, 0, 0])
  })

  it.each([
    ['handlers', false],
    ['an upgrade listener', true],
  ])(
    'loses its socket, and the one to its server, when the principal is revoked (%s)',
    async (_, listens) => {
      const { open, gate, guard, wss, proof } = await stage(handler, { listens })
      const socket = open(proof)
      await once(socket, 'open')
      const [behind] = [...wss.clients] as [WebSocket]
      const ended = Promise.all([closeCode(socket), closeCode(behind)])
      expect(gate.connections.close({ principalId: 'ada' }, 'revoked')).toBe(1)
      expect(await ended).toEqual([1006, 1006])
      expect(guard.counts.handled).toBe(0)
    },
  )

  it('ends the socket alone if its server does not answer', async () => {
    const { open, guard, proof } = await stage(handler, { target: 'http://127.0.0.1:1' })
    const socket = open(proof)
    expect(await closeCode(socket)).toBe(1006)
    await guard.close()
    expect(guard.counts.handled).toBe(0)
  })
})
