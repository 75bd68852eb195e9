import type { IncomingMessage } from 'node:http'
import { connect, createSecureServer } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import Koa from 'koa'
import { generate } from 'selfsigned'
import { createGate, type Gate } from 'upgate'
import { koaGate } from 'upgate/koa'
import { httpGate } from 'upgate/node'
import { asPrincipal } from 'upgate/testing'
import { afterEach, describe, expect, it } from 'vitest'

/* HTTP/2 with `allowHTTP1`: a request has `:authority` in place of Host, and further pseudo-headers. */

const { scheme, headers } = asPrincipal({ id: 'alice' })
const authorization = headers.authorization ?? ''
const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

type Listener = Parameters<typeof createSecureServer>[1]

async function serve(listener: (gate: Gate) => Listener): Promise<number> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }])
  let listen: Listener
  const server = createSecureServer(
    { key: made.private, cert: made.cert, allowHTTP1: true },
    (request, response) => listen?.(request, response),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => server.close())
  const { port } = server.address() as AddressInfo
  const gate = createGate({
    schemes: [scheme],
    origins: ['https://gateway.example.com'],
    hosts: [`localhost:${port}`],
    rules: [{ path: '/health', access: 'public' }],
  })
  listen = listener(gate)
  return port
}

interface Answer {
  readonly status: number
  readonly body: string
}

function overHttp2(port: number, path: string, more: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connect(`https://localhost:${port}`, { rejectUnauthorized: false })
    closing.push(() => session.destroy())
    session.on('error', reject)
    const stream = session.request({ ':path': path, ...more })
    let status = 0
    let body = ''
    stream.on('response', (answer) => {
      status = Number(answer[':status'])
    })
    stream.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    stream.on('end', () => resolve({ status, body }))
    stream.end()
  })
}

function overHttp1(port: number, path: string, more: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(
      {
        host: '127.0.0.1',
        port,
        path,
        headers: { host: `localhost:${port}`, ...more },
        rejectUnauthorized: false,
        agent: false,
      },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    )
    sent.on('error', reject)
    sent.end()
  })
}

describe.each([
  [
    'httpGate',
    (gate: Gate): Listener =>
      httpGate(gate, (request, response) => {
        response.end(`hello ${gate.principalOf(request)?.id ?? 'anonymous'}`)
      }) as unknown as Listener,
  ],
  [
    'koaGate',
    (gate: Gate): Listener => {
      const app = new Koa()
      app.use(koaGate(gate))
      app.use((context: { body: unknown; req: IncomingMessage }) => {
        context.body = `hello ${gate.principalOf(context.req)?.id ?? 'anonymous'}`
      })
      return app.callback() as unknown as Listener
    },
  ],
] as const)('%s behind an HTTP/2 server that allows HTTP/1.1', (_name, listener) => {
  it.each([
    ['HTTP/2', overHttp2],
    ['HTTP/1.1', overHttp1],
  ] as const)('decides a request over %s', async (_version, ask) => {
    const port = await serve(listener)
    expect(await ask(port, '/health')).toEqual({ status: 200, body: 'hello anonymous' })
    const refused = await ask(port, '/items', { accept: 'application/json' })
    expect([refused.status, JSON.parse(refused.body).code]).toEqual([401, 'auth_required'])
    expect(await ask(port, '/items', { authorization })).toEqual({ status: 200, body: 'hello alice' })
    const foreign = await ask(port, '/items', {
      authorization,
      'sec-fetch-site': 'cross-site',
      origin: 'https://evil.example',
    })
    expect(foreign.status).toBe(200)
  })

  it('refuses another authority, as it does another Host', async () => {
    const port = await serve(listener)
    const answer = await overHttp2(port, '/items', { ':authority': 'evil.example', authorization })
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([403, 'host_refused'])
  })
})
