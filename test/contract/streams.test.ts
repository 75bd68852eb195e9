/* A long response outlives the decision that began it. It must not outlive the credential. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import express from 'express'
import express4 from 'express4'
import Koa from 'koa'
import Koa2 from 'koa2'
import {
  createGate,
  type Gate,
  type Revocation,
  type RevocationReason,
  type RevocationSelector,
  type Scheme,
  type Verification,
} from 'upgate'
import { expressGate } from 'upgate/express'
import { koaGate } from 'upgate/koa'
import { endStreams, endWithCredential, httpGate, type StreamEndReason } from 'upgate/node'
import { type ManualClock, manualClock } from 'upgate/testing'
import { guardServer } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from './expectations.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

const hosts: Record<string, (gate: Gate, handler: Handler) => Server> = {
  'bare http': (gate, handler) => createServer(httpGate(gate, handler)),
  'Express 5': (gate, handler) => createServer(express().use(expressGate(gate)).use(handler)),
  'Express 4': (gate, handler) => createServer(express4().use(expressGate(gate)).use(handler)),
  'Koa 3': koaHost(Koa),
  'Koa 2': koaHost(Koa2),
  guardServer(gate, handler) {
    const server = createServer(handler)
    guardServer(server, gate)
    return server
  },
}

function koaHost(Application: typeof Koa) {
  return (gate: Gate, handler: Handler): Server => {
    const app = new Application()
    app.silent = true
    app.use(koaGate(gate))
    app.use((ctx: { req: IncomingMessage; res: ServerResponse; respond: boolean }) => {
      ctx.respond = false
      handler(ctx.req, ctx.res)
    })
    return createServer(app.callback())
  }
}

/** A client with `Bearer <name>` is that user; the credential of `hour` expires in an hour. */
interface Stage {
  readonly gate: Gate
  readonly clock: ManualClock
  readonly errors: string[]
  revoke(selector: RevocationSelector, reason?: RevocationReason): void
  serve(host: keyof typeof hosts, handler: Handler): Promise<number>
}

const hour = 3_600_000
const servers: Server[] = []
const sockets = new Set<{ destroy(): void }>()
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

function stage(): Stage {
  const clock = manualClock()
  const listeners = new Set<(revocation: Revocation) => void>()
  const errors: string[] = []
  let sequence = 0
  const scheme: Scheme = {
    name: 'token',
    ambient: false,
    extract({ headers }) {
      const value = /^Bearer (.+)$/.exec(String(headers.authorization ?? ''))?.[1]
      return value === undefined
        ? undefined
        : { location: 'authorization', credential: { type: 'token', source: 'header', value } }
    },
    verify({ value }) {
      const answer: Verification = {
        outcome: 'authenticated',
        principal: {
          kind: 'user',
          id: String(value),
          scheme: 'token',
          credentialId: `key of ${value}`,
          scopes: [],
          roles: [],
          attributes: {},
          ...(value === 'hour' && { expiresAt: clock.now() + hour }),
        },
      }
      return answer
    },
    revocations: {
      sequence: () => sequence,
      subscribe(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
  }
  const gate = createGate({
    clock,
    hosts: ['gateway.example.com'],
    origins: ['https://gateway.example.com'],
    logger: { warn() {}, error: (message) => void errors.push(message) },
    schemes: [scheme],
    rules: [{ path: '/public', access: 'public' }],
  }) as unknown as Gate
  return {
    gate,
    clock,
    errors,
    revoke(selector, reason = 'revoked') {
      const revocation = { sequence: ++sequence, at: clock.now(), selector, reason }
      for (const listener of listeners) listener(revocation)
    },
    async serve(host, handler) {
      const server = (hosts[host] as (typeof hosts)[string])(gate, handler)
      servers.push(server)
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    },
  }
}

/** A client that records the received bytes. */
class Reader {
  readonly socket
  text = ''
  #over = false
  readonly #watchers = new Set<() => void>()

  constructor(port: number, request: string) {
    this.socket = connect({ port, host: '127.0.0.1' })
    sockets.add(this.socket)
    const notify = (): void => {
      for (const watcher of this.#watchers) watcher()
    }
    this.socket.on('data', (chunk) => {
      this.text += chunk.toString('latin1')
      notify()
    })
    for (const event of ['end', 'error', 'close']) {
      this.socket.on(event, () => {
        this.#over = true
        notify()
      })
    }
    this.socket.write(request)
  }

  async #when(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#watchers.add(resolve))
  }

  async until(text: string): Promise<void> {
    await this.#when(() => this.text.includes(text) || this.#over)
    expect(this.text).toContain(text)
  }

  /** All data received until the connection was closed. */
  async all(): Promise<string> {
    await this.#when(() => this.#over)
    return this.text
  }
}

const ask = (who: string | undefined, line = 'GET /events HTTP/1.1'): string =>
  [line, 'Host: gateway.example.com', ...(who ? [`Authorization: Bearer ${who}`] : []), '', ''].join('\r\n')

/** Events without end. */
function events(t: Stage, seen: ServerResponse[] = []): Handler {
  return (request, response) => {
    seen.push(response)
    if (!endWithCredential(t.gate, request, response)) return
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: one\n\n')
  }
}

describe.each(Object.keys(hosts))('a stream behind %s', (host) => {
  it('is cut at once when its credential is revoked, and looks broken; other streams go on', async () => {
    const t = stage()
    const seen: ServerResponse[] = []
    const port = await t.serve(host, events(t, seen))
    const [ada, bob] = [new Reader(port, ask('ada')), new Reader(port, ask('bob'))]
    for (const reader of [ada, bob]) await reader.until('data: one')
    expect(t.gate.connections.size).toBe(2)
    expect([...t.gate.connections.list()].map(({ path, principal }) => [path, principal.id])).toEqual([
      ['/events', 'ada'],
      ['/events', 'bob'],
    ])
    t.revoke({ principalId: 'ada' })
    expect(seen[0]?.destroyed).toBe(true)
    // No terminating chunk: a client can tell that something is missing.
    expect(await ada.all()).not.toContain('0\r\n\r\n')
    expect(seen[1]?.destroyed).toBe(false)
    expect(t.gate.connections.size).toBe(1)
    // An application that has not noticed keeps writing; nothing is sent, and nothing breaks.
    seen[0]?.write('data: two\n\n')
    seen[0]?.end()
    expect(ada.text).not.toContain('two')
  })

  it('is cut when its credential expires', async () => {
    const t = stage()
    const port = await t.serve(host, events(t))
    const reader = new Reader(port, ask('hour'))
    await reader.until('data: one')
    t.clock.advance(hour - 1)
    expect(t.gate.connections.size).toBe(1)
    t.clock.advance(1)
    expect(t.gate.connections.size).toBe(0)
    expect(await reader.all()).not.toContain('0\r\n\r\n')
  })

  it('leaves no entry behind when it ends, or when its client leaves', async () => {
    const t = stage()
    const seen: ServerResponse[] = []
    const port = await t.serve(host, events(t, seen))
    const readers = ['ada', 'hour'].map((who) => new Reader(port, ask(who)))
    for (const reader of readers) await reader.until('data: one')
    seen[0]?.end()
    await until(() => t.gate.connections.size === 1)
    await readers[0]?.until('0\r\n\r\n')
    for (const reader of readers) reader.socket.destroy()
    await until(() => t.gate.connections.size === 0)
    expect(t.clock.pending).toBe(0)
  })

  it('that was revoked between the decision and its registration never begins', async () => {
    const t = stage()
    const begun: boolean[] = []
    let proceed = (): void => {}
    const port = await t.serve(host, (request, response) => {
      // The application looks something up before it answers.
      proceed = () => {
        begun.push(endWithCredential(t.gate, request, response))
        if (begun.at(-1)) response.end('secret')
      }
    })
    const reader = new Reader(port, ask('ada'))
    const first = proceed
    await until(() => proceed !== first)
    t.revoke({ credentialId: 'key of ada' })
    proceed()
    expect(begun).toEqual([false])
    expect(await reader.all()).toBe('')
    expect(t.gate.connections.size).toBe(0)
  })
})

describe('a stream', () => {
  it('on a public path without a principal is not registered', async () => {
    const t = stage()
    const port = await t.serve('bare http', events(t))
    await new Reader(port, ask(undefined, 'GET /public HTTP/1.1')).until('data: one')
    expect(t.gate.connections.size).toBe(0)
  })

  it('with a declared length ends before it', async () => {
    const t = stage()
    const port = await t.serve('bare http', (request, response) => {
      endWithCredential(t.gate, request, response)
      response.writeHead(200, { 'content-length': 1000 })
      response.write('part')
    })
    const reader = new Reader(port, ask('ada'))
    await reader.until('part')
    t.revoke({ principalId: 'ada' })
    expect((await reader.all()).split('\r\n\r\n')[1]).toBe('part')
  })

  it('that a client does not read is cut, with all its buffered data', async () => {
    const t = stage()
    let response: ServerResponse | undefined
    const port = await t.serve('bare http', (request, answer) => {
      response = answer
      endWithCredential(t.gate, request, answer)
      // Written completely, but not read: still being sent.
      answer.end(Buffer.alloc(64 * 1024 * 1024))
    })
    const reader = new Reader(port, ask('ada'))
    reader.socket.pause()
    await until(() => response !== undefined)
    expect(t.gate.connections.size).toBe(1)
    t.revoke({ principalId: 'ada' })
    expect(response?.destroyed).toBe(true)
    expect(t.gate.connections.size).toBe(0)
  })

  // It is not on the wire yet; its data is kept until its turn.
  it('that waits behind another one on its connection is never sent', async () => {
    const t = stage()
    const seen: ServerResponse[] = []
    const port = await t.serve('bare http', (request, response) => {
      seen.push(response)
      endWithCredential(t.gate, request, response)
      response.write(`data: ${request.url}\n\n`)
    })
    const reader = new Reader(port, ask('bob', 'GET /first HTTP/1.1') + ask('ada', 'GET /second HTTP/1.1'))
    await until(() => seen.length === 2)
    await reader.until('data: /first')
    t.revoke({ principalId: 'ada' })
    seen[0]?.end()
    expect(await reader.all()).not.toContain('/second')
    await until(() => t.gate.connections.size === 0)
  })

  describe('revoked together with so many others that it is cut a turn later', () => {
    /** Streams of one user, the last of them muted and not cut yet. */
    async function crowd(t: Stage, handler: Handler, before = ''): Promise<[Reader, ServerResponse]> {
      const seen: ServerResponse[] = []
      const port = await t.serve('bare http', (request, response) => {
        if (request.url !== '/events') return handler(request, response)
        seen.push(response)
        events(t)(request, response)
      })
      const readers: Reader[] = []
      for (let n = 0; n < 80; n++) {
        const reader = new Reader(port, ask('ada'))
        await reader.until('data: one')
        readers.push(reader)
      }
      const last = new Reader(port, before + ask('ada', 'GET /last HTTP/1.1'))
      await until(() => t.gate.connections.size >= 81)
      return [last, seen[0] as ServerResponse]
    }

    it('sends nothing more, not even its end', async () => {
      const t = stage()
      let response: ServerResponse | undefined
      const [last, first] = await crowd(t, (request, answer) => {
        response = answer
        events(t)(request, answer)
      })
      await last.until('data: one')
      t.revoke({ principalId: 'ada' })
      expect([first.destroyed, response?.destroyed]).toEqual([true, false])
      response?.write('data: two\n\n')
      response?.end('data: three\n\n')
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
      t.clock.advance(1)
      expect(await last.all()).not.toMatch(/two|three/)
    })

    it('is never sent if it waits behind another one on its connection', async () => {
      const t = stage()
      const other: ServerResponse[] = []
      const handler: Handler = (request, response) => {
        other.push(response)
        endWithCredential(t.gate, request, response)
        response.write(`data: ${request.url}\n\n`)
      }
      const [last] = await crowd(t, handler, ask('bob', 'GET /first HTTP/1.1'))
      await until(() => other.length === 2)
      t.revoke({ principalId: 'ada' })
      other[0]?.end()
      expect(await last.all()).not.toContain('/last')
    })

    it('closes its connection if it ends before the cut', async () => {
      const t = stage()
      let response: ServerResponse | undefined
      let connection: IncomingMessage['socket'] | undefined
      const [last] = await crowd(t, (request, answer) => {
        response = answer
        connection = request.socket
        endWithCredential(t.gate, request, answer)
        // Still being sent when the credential is revoked.
        answer.end(Buffer.alloc(64 * 1024 * 1024))
      })
      last.socket.pause()
      await until(() => response?.writableEnded === true)
      t.revoke({ principalId: 'ada' })
      expect(response?.destroyed).toBe(false)
      last.socket.resume()
      // A silenced connection never sends again: the client must not wait on it.
      await until(() => response?.closed === true)
      await until(() => connection?.destroyed === true)
    })
  })

  it('requested with HEAD ends at once', async () => {
    const t = stage()
    const port = await t.serve('bare http', (request, response) => {
      endWithCredential(t.gate, request, response)
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end('data: never sent')
    })
    const reader = new Reader(port, ask('ada', 'HEAD /events HTTP/1.1'))
    await reader.until('200 OK')
    await until(() => t.gate.connections.size === 0)
    reader.socket.end()
    expect(await reader.all()).not.toContain('never')
  })

  it('is not registered after it ended or its client left', async () => {
    const t = stage()
    const begun: boolean[] = []
    const port = await t.serve('bare http', (request, response) => {
      response.once('close', () => begun.push(endWithCredential(t.gate, request, response)))
      if (request.url === '/ended') response.end('done')
    })
    await new Reader(port, ask('ada', 'GET /ended HTTP/1.1')).until('done')
    await until(() => begun.length === 1)
    const leaving = new Reader(port, ask('ada'))
    await once(leaving.socket, 'connect')
    leaving.socket.destroy()
    await until(() => begun.length === 2)
    expect(begun).toEqual([false, false])
    expect(t.gate.connections.size).toBe(0)
  })

  it('proxied from another server closes its source too', async () => {
    const t = stage()
    const source = new PassThrough()
    const port = await t.serve('bare http', (request, response) => {
      if (!endWithCredential(t.gate, request, response)) return
      response.once('close', () => source.destroy())
      source.pipe(response)
    })
    const reader = new Reader(port, ask('ada'))
    source.write('part')
    await reader.until('part')
    t.revoke({ principalId: 'ada' })
    await once(source, 'close')
    await reader.all()
  })

  it('that Koa sends from `ctx.body` is cut as well', async () => {
    const t = stage()
    const app = new Koa()
    app.silent = true
    const source = new Readable({ read() {} })
    app.use(koaGate(t.gate))
    app.use((ctx: { req: IncomingMessage; res: ServerResponse; body: unknown }) => {
      endWithCredential(t.gate, ctx.req, ctx.res)
      ctx.body = source
    })
    const server = createServer(app.callback()).listen(0, '127.0.0.1')
    servers.push(server)
    await once(server, 'listening')
    const reader = new Reader((server.address() as AddressInfo).port, ask('ada'))
    source.push('part')
    await reader.until('part')
    t.revoke({ principalId: 'ada' })
    expect(await reader.all()).not.toContain('0\r\n\r\n')
    await until(() => source.destroyed)
  })

  it('may send the reason of its end, and is cut if the client does not read', async () => {
    const t = stage()
    const reasons: StreamEndReason[] = []
    let last: ServerResponse | undefined
    const port = await t.serve('bare http', (request, response) => {
      last = response
      const onEnd = (reason: StreamEndReason): unknown => {
        reasons.push(reason)
        if (request.url === '/says') response.end(`event: end\ndata: ${reason}\n\n`)
        if (request.url === '/throws') throw new Error('broken')
        // An asynchronous function fits the type as well.
        return request.url === '/rejects' ? Promise.reject(new Error('broken')) : undefined
      }
      endWithCredential(t.gate, request, response, { onEnd })
      response.write('data: one\n\n')
    })
    const saying = new Reader(port, ask('ada', 'GET /says HTTP/1.1'))
    await saying.until('data: one')
    t.revoke({ principalId: 'ada' }, 'logged_out')
    await saying.until('data: logged_out')
    await until(() => t.clock.pending === 0)
    for (const path of ['/silent', '/throws', '/rejects']) {
      const cut = new Reader(port, ask('ada', `GET ${path} HTTP/1.1`))
      await cut.until('data: one')
      t.revoke({ principalId: 'ada' })
      expect(await cut.all()).not.toContain('0\r\n\r\n')
    }
    const complaint = expect.stringContaining('`onEnd`')
    expect(t.errors).toEqual([complaint, complaint])
    const deaf = new Reader(port, ask('ada', 'GET /says HTTP/1.1'))
    await deaf.until('data: one')
    deaf.socket.pause()
    last?.write(Buffer.alloc(64 * 1024 * 1024))
    t.revoke({ principalId: 'ada' })
    expect(last?.destroyed).toBe(false)
    t.clock.advance(1000)
    expect(last?.destroyed).toBe(true)
    // Written completely, and not read: nothing can be added, only less can be sent.
    const whole = new Reader(port, ask('ada', 'GET /says HTTP/1.1'))
    await whole.until('data: one')
    whole.socket.pause()
    last?.end(Buffer.alloc(64 * 1024 * 1024))
    t.revoke({ principalId: 'ada' })
    expect(last?.destroyed).toBe(true)
    expect(reasons).toEqual(['logged_out', 'revoked', 'revoked', 'revoked', 'revoked'])
    expect(t.clock.pending).toBe(0)
  })

  it('ends when the server shuts down; sockets and others in the register do not', async () => {
    const t = stage()
    const port = await t.serve('bare http', events(t))
    const readers = ['ada', 'bob'].map((who) => new Reader(port, ask(who)))
    for (const reader of readers) await reader.until('data: one')
    const ends: string[] = []
    const [principal] = [...t.gate.connections.list()].map((connection) => connection.principal)
    const decision = await t.gate.decide({
      kind: 'http',
      method: 'GET',
      target: '/events',
      headers: { host: 'gateway.example.com', authorization: 'Bearer ada' },
      rawHeaders: ['Host', 'gateway.example.com', 'Authorization', 'Bearer ada'],
      encrypted: false,
    })
    if (decision.outcome !== 'allow') throw new Error(decision.outcome)
    t.gate.connections.register(
      {
        id: 'socket',
        principal: principal as NonNullable<typeof principal>,
        acceptedAt: 0,
        path: '/ws',
        close: (reason) => void ends.push(reason),
      },
      decision.asOf,
    )
    expect(endStreams(t.gate)).toBe(2)
    for (const reader of readers) expect(await reader.all()).not.toContain('0\r\n\r\n')
    await until(() => t.gate.connections.size === 1)
    expect([endStreams(t.gate), ends]).toEqual([0, []])
  })

  it('of a request that no gate admitted is misuse', async () => {
    const t = stage()
    const other = stage()
    const thrown: unknown[] = []
    const port = await t.serve('bare http', (request, response) => {
      for (const use of [
        () => endWithCredential(other.gate, request, response),
        () => endWithCredential(t.gate, {} as IncomingMessage, response),
        () => endWithCredential(t.gate, request, response, { onClose: 1 } as never),
      ]) {
        try {
          use()
        } catch (error) {
          thrown.push(error)
        }
      }
      response.end('ok')
    })
    await new Reader(port, ask('ada')).until('ok')
    expect(thrown.map(String)).toEqual([
      expect.stringMatching(/^TypeError: endWithCredential: this gate has not let/),
      expect.stringMatching(/^TypeError: endWithCredential: this gate has not let/),
      expect.stringMatching(/unknown option `onClose`/),
    ])
  })
})

describe('ten thousand streams', () => {
  it('leave no entry in the register, no timer, and no listener on their connection', async () => {
    const t = stage()
    let connection: IncomingMessage['socket'] | undefined
    const port = await t.serve('bare http', (request, response) => {
      connection = request.socket
      endWithCredential(t.gate, request, response)
      response.end('x')
    })
    const reader = new Reader(port, '')
    const before: number[] = []
    for (let batch = 0; batch < 100; batch++) {
      reader.socket.write(ask('hour').repeat(100))
      await until(() => reader.text.split('HTTP/1.1 200').length - 1 === 100)
      reader.text = ''
      const listeners = connection?.eventNames().map((name) => connection?.listenerCount(name) ?? 0) ?? []
      before.push(listeners.reduce((sum, count) => sum + count, 0))
    }
    await until(() => t.gate.connections.size === 0)
    expect(t.clock.pending).toBe(0)
    expect(before.at(-1)).toBeLessThanOrEqual(before[1] ?? 0)
  })

  it('of one principal are cut without delaying other clients, and none of them sends anything more', async () => {
    const t = stage()
    const seen: ServerResponse[] = []
    const port = await t.serve('bare http', events(t, seen))
    const readers = Array.from({ length: 500 }, () => new Reader(port, ask('ada')))
    for (const reader of readers) await reader.until('data: one')
    t.revoke({ principalId: 'ada' })
    expect(t.gate.connections.size).toBe(0)
    const atOnce = seen.filter(({ destroyed }) => destroyed).length
    expect(atOnce).toBeLessThan(500)
    for (const response of seen) response.write('data: two\n\n')
    // All pending data has been sent when the clock advances and the others are cut.
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
    t.clock.advance(1)
    for (const reader of readers) expect(await reader.all()).not.toContain('two')
    expect(seen.every(({ destroyed }) => destroyed)).toBe(true)
  })
})
