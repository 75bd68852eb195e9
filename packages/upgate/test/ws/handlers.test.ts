import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type GuardServerOptions, guardServer, jsonFrame, type UpgradeHandler } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { handshake, raw } from '../adapters/raw.ts'
import { makeGate } from '../core/fixtures.ts'
import { closeStages, eventually, ours, type Stage, stage } from '../pitfalls/guard-stage.ts'

afterEach(closeStages)

/* Paths that a function owns: a framework's hot reload, the upgrade of a proxy library. */

const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

const rules = [
  { path: '/hmr', access: 'required' },
  { path: '/open', access: 'public', upgrade: true },
  {
    path: '/ws',
    access: 'deferred',
    kinds: ['device'],
    handshake: jsonFrame({ credential: (message) => message.token }),
  },
] as const

/** As every real owner does: Node leaves the end of an upgraded socket to it. */
function read(socket: Duplex): void {
  socket.resume()
  socket.on('end', () => socket.end())
}

interface Taken {
  readonly url: string | undefined
  readonly head: string
  readonly principal: string | undefined
  readonly socket: Duplex
}

async function staged(
  more: {
    handlers?: Record<string, UpgradeHandler>
    maxUnprovenHandled?: number
    listeners?: (s: Stage['server']) => void
  } = {},
): Promise<Stage & { readonly taken: Taken[] }> {
  const taken: Taken[] = []
  const take: UpgradeHandler = (request, socket, head, principal) => {
    taken.push({ url: request.url, head: head.toString(), principal: principal?.id, socket })
    read(socket)
    socket.write(`${switching}hello ${principal?.id}`)
  }
  const { handlers = { '/hmr': take, '/open': take }, maxUnprovenHandled } = more
  const made = await stage({
    rules,
    before: more.listeners ?? (() => {}),
    options: {
      sockets: { '/ws': new WebSocketServer({ noServer: true }) },
      handlers,
      ...(maxUnprovenHandled !== undefined && { maxUnprovenHandled }),
    },
  })
  return { ...made, taken }
}

describe('an upgrade on a path that a function owns', () => {
  it('arrives after the decision, with the principal and the first bytes', async () => {
    const { port, taken } = await staged()
    const client = raw(port, `${handshake('/hmr', ours)}early`)
    await client.until(/hello u$/)
    expect(taken).toMatchObject([{ url: '/hmr', head: 'early', principal: 'u' }])
    const open = raw(port, handshake('/open'))
    await open.until(/hello undefined$/)
    client.socket.destroy()
    open.socket.destroy()
  })

  it('is refused like any other without a credential, from a foreign Origin, and with a wrong target', async () => {
    const { port, taken } = await staged()
    expect(await raw(port, handshake('/hmr')).ended()).toMatch(/^HTTP\/1\.1 401 [\s\S]*auth_required/)
    const foreign = ['Cookie: sid=u', 'Origin: https://evil.example']
    expect(await raw(port, handshake('/hmr', foreign)).ended()).toMatch(
      /^HTTP\/1\.1 403 [\s\S]*origin_refused/,
    )
    for (const target of ['/HMR', '/hmr/', '//hmr', '/x/..%2fhmr'])
      expect(await raw(port, handshake(target, ours)).ended()).toMatch(/^HTTP\/1\.1 4/)
    expect(taken).toEqual([])
  })

  it('is answered 426 if a proxy dropped its Upgrade header', async () => {
    const { port } = await staged()
    const lost = handshake('/hmr', ours)
      .replace('Upgrade: websocket\r\n', '')
      .replace('Connection: Upgrade', 'Connection: close')
    expect(await raw(port, lost).ended()).toMatch(/^HTTP\/1\.1 426 [\s\S]*upgrade_required/)
  })

  it('reaches no upgrade listener of the server, and other paths still do', async () => {
    const reached: string[] = []
    const { port, taken } = await staged({
      listeners: (server) =>
        server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
          reached.push(request.url ?? '')
          socket.end(`${switching}listener`)
        }),
    })
    const client = raw(port, handshake('/hmr', ours))
    await client.until(/hello u$/)
    expect(await raw(port, handshake('/elsewhere', ours)).ended()).toMatch(/listener$/)
    expect(reached).toEqual(['/elsewhere'])
    expect(taken).toHaveLength(1)
    client.socket.destroy()
  })

  it('ends when its principal is revoked or the guard closes, also while the function still works', async () => {
    const { port, gate, guard, taken } = await staged()
    const client = raw(port, handshake('/hmr', ours))
    await client.until(/hello u$/)
    expect(gate.connections.close({ principalId: 'u' }, 'revoked')).toBe(1)
    await client.ended()
    expect(taken[0]?.socket.destroyed).toBe(true)
    expect(gate.connections.size).toBe(0)

    const next = raw(port, handshake('/hmr', ours))
    await next.until(/hello u$/)
    await guard.close()
    await next.ended()

    let finish: () => void = () => {}
    const slow = await staged({
      handlers: { '/hmr': () => new Promise<void>((resolve) => (finish = resolve)) },
    })
    const waiting = raw(slow.port, handshake('/hmr', ours))
    await eventually(() => slow.gate.connections.size === 1)
    slow.gate.connections.close({ principalId: 'u' }, 'revoked')
    expect(await waiting.ended()).toBe('')
    finish()
    expect(slow.warnings).toEqual([])
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no upstream')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no upstream'))],
  ])('ends alone if the function %s', async (_what, fails) => {
    const { port, warnings } = await staged({
      handlers: {
        '/hmr': fails,
        '/open': (_request, socket) => {
          read(socket)
          socket.write(`${switching}fine`)
        },
      },
    })
    expect(await raw(port, handshake('/hmr', ours)).ended()).toBe('')
    expect(warnings).toEqual(['guardServer: a function of `handlers` failed; its socket is destroyed.'])
    const open = raw(port, handshake('/open'))
    await open.until(/fine$/)
    open.socket.destroy()
  })

  it('survives a reset of its client, although the function listens for no error', async () => {
    const { port, taken, gate } = await staged()
    const client = raw(port, handshake('/hmr', ours))
    await client.until(/hello u$/)
    client.socket.resetAndDestroy()
    await eventually(() => taken[0]?.socket.destroyed === true && gate.connections.size === 0)
  })

  it('counts against a limit without a principal, and frees its place', async () => {
    const { port, taken } = await staged({ maxUnprovenHandled: 1 })
    const first = raw(port, handshake('/open'))
    await first.until(/hello/)
    expect(await raw(port, handshake('/open')).ended()).toMatch(/^HTTP\/1\.1 503 [\s\S]*over_capacity/)
    // A proven principal is not a stranger.
    const proven = raw(port, handshake('/hmr', ours))
    await proven.until(/hello u$/)
    first.socket.destroy()
    await eventually(() => taken[0]?.socket.destroyed === true)
    const next = raw(port, handshake('/open'))
    await next.until(/hello/)
    for (const client of [next, proven]) client.socket.destroy()
  })
})

describe('mistakes are named at construction', () => {
  const nothing: UpgradeHandler = () => {}
  const make = (handlers: unknown, sockets: object = {}) =>
    staged().then(
      ({ server, gate }) =>
        () =>
          guardServer(server, gate, {
            sockets: { '/ws': new WebSocketServer({ noServer: true }), ...sockets },
            handlers: handlers as never,
          }),
    )

  it.each([
    [
      { '/ws': nothing },
      /`handlers\['\/ws'\]` is on a deferred path \('\/ws'\), [\s\S]*sockets: \{ '\/ws': wss \}/,
    ],
    [
      { '/hmr': 'a file' },
      /`handlers\['\/hmr'\]` must be a function \(request, socket, head, principal\), not a string/,
    ],
    [
      { '/a/*': nothing, '/a/b': nothing },
      /`handlers\['\/a\/b'\]`: some paths are owned by `handlers\['\/a\/\*'\]` already/,
    ],
    [nothing, /`handlers` must be an object of functions by path/],
  ])('%o', async (handlers, message) => {
    expect(await make(handlers)).toThrow(message)
  })

  it('a path that a WebSocketServer owns', async () => {
    const wss = new WebSocketServer({ noServer: true })
    expect(await make({ '/both': nothing }, { '/both': wss })).toThrow(
      /`handlers\['\/both'\]`: some paths are owned by `sockets\['\/both'\]` already/,
    )
  })

  it('a path that another guard of the server owns, whichever option gave it away', async () => {
    const { server } = await staged()
    const second = (options: GuardServerOptions) => () => guardServer(server, makeGate(), options)
    expect(second({ handlers: { '/*': nothing } })).toThrow(
      "guardServer: `handlers['/*']` has an owner already: another guard of this server owns `/ws`.",
    )
    expect(second({ handlers: { '/hmr': nothing } })).toThrow(
      "`handlers['/hmr']` has an owner already: another guard of this server owns `/hmr`",
    )
    expect(second({ sockets: { '/open': new WebSocketServer({ noServer: true }) } })).toThrow(
      "`sockets['/open']` has an owner already: another guard of this server owns `/open`",
    )
    expect(second({ handlers: { '/other': nothing } })).not.toThrow()
  })
})
