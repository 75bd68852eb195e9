/* The sentences that docs/guide-neighbours.md prints, as they are told: each situation of its last table is made here. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { Server as SocketIo } from 'socket.io'
import { type AuditEvent, createGate, fromRequest, type Gate, trustedHeader } from 'upgate'
import { expressGate } from 'upgate/express'
import { forwardAuth } from 'upgate/node'
import { guardServer } from 'upgate/ws'
import { afterEach, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'

const guide = readFileSync(new URL('../../docs/guide-neighbours.md', import.meta.url), 'utf8')
const table = guide.slice(guide.indexOf('## What the operator is told'))
const rows = [...table.matchAll(/^\| (?!what happens|---)(.*?) \| (.*) \|$/gm)].map(([, what, sentence]) => [
  what as string,
  sentence as string,
])

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

interface Made {
  readonly gate: Gate
  readonly said: string[]
}

function make(): Made {
  const said: string[] = []
  const log = (message: string): void => void said.push(message)
  const gate = createGate({
    origins: ['http://app.example.com'],
    hosts: ['app.example.com'],
    logger: { warn: log, error: log },
    schemes: [
      fromRequest(({ headers }) => (headers.cookie === 'app=1' ? { id: 'ada' } : null)),
      trustedHeader({ headers: { user: 'Remote-User' }, peers: ['10.0.0.9'], identify: () => null }),
    ],
    rules: [{ path: ['/hmr', '/ws', '/other'], access: 'public', upgrade: true }],
  }) as unknown as Gate
  gate.events.subscribe((event: AuditEvent) => {
    if (event.type === 'refused') said.push(event.detail)
  })
  return { gate, said }
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const ask = (port: number): Promise<unknown> =>
  new Promise((resolve) => {
    httpRequest({ host: '127.0.0.1', port, headers: { Host: 'app.example.com' } }, (response) => {
      response.resume().on('end', resolve)
    }).end()
  })

async function upgrade(port: number, path: string): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`)
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('open', resolve).once('close', resolve))
  socket.terminate()
}

/** An application with an adapter, and what a library adds to its server. */
async function nextToAdapter({ gate, said }: Made, attach: (server: Server) => void): Promise<void> {
  const app = express().use(expressGate(gate))
  app.use((error: Error, _request: unknown, response: express.Response, _next: unknown) => {
    said.push(error.message)
    response.status(500).end()
  })
  const server = createServer(app)
  attach(server)
  await ask(await listen(server))
}

const situations: Readonly<Record<string, (made: Made) => Promise<unknown>>> = {
  'a library takes upgrades next to an adapter': (made) =>
    nextToAdapter(made, (server) => server.on('upgrade', (_request, socket) => socket.destroy())),
  'a library takes requests in front of it, as polling does': (made) =>
    nextToAdapter(made, (server) => {
      const io = new SocketIo(server, { transports: ['polling'] })
      ends.push(() => io.close())
    }),
  async 'two libraries take the upgrades of one server'({ gate }) {
    const server = createServer()
    for (const _ of [1, 2]) server.on('upgrade', (_request, socket) => socket.destroy())
    guardServer(server, gate)
    await upgrade(await listen(server), '/other')
  },
  async 'a function of `handlers` throws or rejects'({ gate }) {
    const server = createServer()
    guardServer(server, gate, { handlers: { '/hmr': () => Promise.reject(new Error('no upstream')) } })
    await upgrade(await listen(server), '/hmr')
  },
  async 'a library has its `WebSocketServer` elsewhere'({ gate }) {
    const server = createServer()
    guardServer(server, gate, { sockets: { '/ws': new WebSocketServer({ noServer: true }) } })
    await upgrade(await listen(server), '/ws')
  },
  async 'a proxy asks without saying what'({ gate }) {
    const from = { from: ['127.0.0.1'], dangerouslyTrustSharedPeers: true }
    await ask(await listen(createServer(forwardAuth(gate, { ...from, proxy: 'nginx' }))))
  },
  async 'identity headers come from a client'({ gate, said }) {
    const headers = { host: 'app.example.com', 'remote-user': 'root' }
    const { steps } = await gate.explain({
      kind: 'http',
      method: 'GET',
      target: '/any',
      headers,
      rawHeaders: Object.entries(headers).flat(),
      peerAddress: '203.0.113.7',
      encrypted: false,
    })
    said.push(...steps.map(({ detail }) => detail))
  },
}

it('makes each situation that the guide names', () => {
  expect(rows.map(([what]) => what)).toEqual(Object.keys(situations))
})

it.each(rows)('%s', async (what, sentence) => {
  const made = make()
  await situations[what]?.(made)
  expect(made.said).toContain(sentence)
})
