/* The releases of `ws` behind the gate, from the oldest that the library takes: each with its own server and client. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGate, createServices, deviceToken, memoryStore } from 'upgate'
import { manualClock } from 'upgate/testing'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { describe, expect, it } from 'vitest'
import * as newest from 'ws'
import * as oldest from 'ws-8.5'
import * as early from 'ws-8.11'
import * as later from 'ws-8.18'

const releases = { '8.5.0': oldest, '8.11.0': early, '8.18.3': later, newest } as const

for (const [release, { WebSocket, WebSocketServer }] of Object.entries(releases)) {
  describe(`ws ${release}`, () => {
    // A server that negotiates compression makes its objects at the 101, where that is asked for loudly.
    for (const made of ['on acceptance', 'at the 101'] as const) {
      it(`waits, is refused, is accepted and talks, with an object made ${made}`, async () => {
        const clock = manualClock()
        const services = createServices({ store: memoryStore(), clock })
        const gate = createGate({
          clock,
          logger: { warn() {}, error() {} },
          origins: ['https://gateway.example.com'],
          schemes: [deviceToken({ devices: services.devices })],
          rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() }],
        })
        let objects = 0
        class Counted extends WebSocket {
          constructor(...values: unknown[]) {
            super(...(values as [string]))
            objects++
          }
        }
        const late = made === 'on acceptance'
        const perMessageDeflate = !late
        const wss = new WebSocketServer({ noServer: true, perMessageDeflate, WebSocket: Counted } as object)
        wss.on('connection', (ws) =>
          ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary })),
        )
        const server = createServer()
        const guard = guardServer(server, gate, {
          sockets: { '/ws': wss },
          dangerouslyAllowCompression: !late,
        })
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
        const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`
        const { token } = await services.devices.create({ name: 'kitchen', scopes: [] })
        const open = async (): Promise<newest.WebSocket> => {
          const client = new WebSocket(url)
          await once(client, 'open')
          return client as newest.WebSocket
        }

        const silent = await open()
        const ended = once(silent, 'close')
        clock.advance(10_000)
        expect((await ended)[0]).toBe(4408)

        const wrong = await open()
        const refusal = once(wrong, 'message')
        const refused = once(wrong, 'close')
        wrong.send(JSON.stringify({ type: 'auth', token: 'ugd_wrong' }))
        expect(String((await refusal)[0])).toContain('invalid_credential')
        clock.advance(1_500)
        expect((await refused)[0]).toBe(4401)
        if (late) expect(objects).toBe(0)

        const good = await open()
        const heard: string[] = []
        good.on('message', (data) => heard.push(String(data)))
        good.send(JSON.stringify({ type: 'auth', token }))
        good.send('pipelined')
        const large = Buffer.alloc(200_000, 'x')
        good.send(large)
        await expect.poll(() => heard.length).toBe(3)
        expect(heard[0]).toContain('auth_ok')
        expect(heard.slice(1)).toEqual(['pipelined', large.toString()])
        expect(wss.clients.size).toBe(1)

        const other = await open()
        const accepted = once(other, 'message')
        other.send(JSON.stringify({ type: 'auth', token }))
        expect(String((await accepted)[0])).toContain('auth_ok')
        const echoed = once(other, 'message')
        other.send('on its own')
        expect(String((await echoed)[0])).toBe('on its own')
        expect(objects).toBe(late ? 2 : 4)

        const gone = [good, other].map((client) => once(client, 'close'))
        await guard.close()
        for (const [code] of await Promise.all(gone)) expect(code).toBe(1001)
        server.close()
        gate.close()
      })
    }
  })
}
