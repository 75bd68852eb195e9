import type { Verification } from 'upgate'
import { jsonFrame, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { WebSocket } from 'ws'
import { validCloseCode, validCloseReason } from '../../src/ws/socket/close-frame.ts'
import {
  auth,
  closeAll,
  deferredPromise,
  device,
  eventually,
  frame,
  goodToken,
  origin,
  settled,
  start,
  text,
  wrongToken,
} from '../ws/harness.ts'

afterEach(closeAll)

const yes: Verification = { outcome: 'authenticated', principal: device('node-1') }
const later = async (): Promise<Verification> => {
  await settled()
  return yes
}

/** Everything the application hears, in order. */
function heardBy(t: Awaited<ReturnType<typeof start>>, attachLate = false): string[] {
  const heard: string[] = []
  t.wss.on('connection', async (ws: WebSocket) => {
    if (attachLate) await settled()
    ws.on('message', (data) => heard.push(String(data)))
  })
  return heard
}

describe('the upgrade path, behind the quarantine', () => {
  it('pitfall 4: a reset during verification neither ends the process nor keeps the place', async () => {
    const answer = deferredPromise<Verification>()
    const t = await start({ verify: () => answer.promise })
    const uncaught = vi.fn()
    process.on('uncaughtExceptionMonitor', uncaught)
    const peer = await t.raw()
    await peer.upgraded()
    peer.write(text(auth()))
    await eventually(() => t.quarantine.counts.verifying === 1)
    peer.reset()
    await settled()
    answer.resolve(yes)
    t.clock.advance(11_000)
    await eventually(() => t.quarantine.counts.quarantined + t.quarantine.counts.refused === 0)
    expect(t.connections).toHaveLength(0)
    expect(t.gate.connections.size).toBe(0)
    process.removeListener('uncaughtExceptionMonitor', uncaught)
    expect(uncaught).not.toHaveBeenCalled()
  })

  it('pitfall 4: a reset while it waits frees the place at once', async () => {
    const t = await start()
    const peer = await t.raw()
    await peer.upgraded()
    await eventually(() => t.quarantine.counts.quarantined === 1)
    peer.reset()
    await eventually(() => t.quarantine.counts.quarantined === 0)
  })

  it('pitfall 5: a peer that only half-closes does not leave a socket behind', async () => {
    const t = await start()
    const peer = await t.raw()
    await peer.upgraded()
    await eventually(() => t.quarantine.counts.quarantined === 1)
    peer.socket.end()
    await eventually(() => t.quarantine.counts.quarantined + t.quarantine.counts.refused === 0)
  })

  it('pitfall 6: a peer that vanishes while its socket is paused is gone by the deadline', async () => {
    const t = await start({ verify: () => new Promise(() => {}), limits: { verifyTimeout: 60_000 } })
    const peer = await t.raw()
    await peer.upgraded()
    peer.write(text(auth()))
    await eventually(() => t.quarantine.counts.verifying === 1)
    peer.write(text('unread'))
    peer.socket.destroy()
    await settled()
    t.clock.advance(10_000)
    await settled()
    t.clock.advance(1000)
    await eventually(() => t.quarantine.counts.quarantined + t.quarantine.counts.refused === 0)
  })

  it('pitfall 7: an application that listens after an await loses no frame', async () => {
    const t = await start({ verify: later })
    const heard = heardBy(t, true)
    const peer = await t.raw()
    await peer.upgraded()
    peer.write(text(auth()), text('one'), text('two'))
    await eventually(() => heard.length === 2)
    peer.write(text('three'))
    await eventually(() => heard.length === 3)
    expect(heard).toEqual(['one', 'two', 'three'])
  })

  // The frame behind the credential used to be lost unless it came in the same packet, which no record of TLS does.
  it('pitfall 7: the same for a frame in a packet of its own, during the verification and after it', async () => {
    const answer = deferredPromise<Verification>()
    for (const verify of [() => answer.promise, () => yes]) {
      const t = await start({ verify })
      const listens = deferredPromise<void>()
      const heard: string[] = []
      t.wss.on('connection', async (ws: WebSocket) => {
        await listens.promise
        ws.on('message', (data) => heard.push(String(data)))
      })
      const peer = await t.raw()
      await peer.upgraded()
      peer.write(text(auth()))
      await eventually(() => t.quarantine.counts.verifying + t.quarantine.counts.accepted === 1)
      peer.write(text('one'))
      await settled()
      answer.resolve(yes)
      await eventually(() => t.connections.length === 1)
      await settled()
      listens.resolve()
      await eventually(() => heard.length === 1)
      peer.write(text('two'))
      await eventually(() => heard.length === 2)
      expect(heard).toEqual(['one', 'two'])
    }
  })

  it('pitfall 7: an application that only speaks is not disturbed: pings, renewals and closes are answered at once', async () => {
    const t = await start({ verify: later, handshake: upgateHandshake({ refresh: true }) })
    const client = t.connect()
    await client.send({ type: 'auth', token: goodToken })
    await client.message()
    const pong = new Promise((resolve) => client.ws.once('pong', resolve))
    client.ws.ping()
    await pong
    await client.send({ type: 'auth_refresh', token: goodToken })
    expect(await client.message(1)).toMatchObject({ type: 'auth_refreshed' })
    client.ws.close(1000)
    expect((await client.closed()).code).toBe(1000)
    const other = t.connect()
    await other.send({ type: 'auth', token: goodToken })
    await other.message()
    t.clock.advance(10_000)
    await other.send('late')
    const late = new Promise((resolve) => other.ws.once('pong', resolve))
    other.ws.ping()
    await late
    expect(t.errors.join()).not.toContain('early messages are dropped')
  })

  it('pitfall 7: early frames for an application that never listens are dropped in the end, and the socket lives', async () => {
    const t = await start({ verify: later })
    const peer = await t.raw()
    await peer.upgraded()
    peer.write(text(auth()), text('one'))
    await eventually(() => t.connections.length === 1)
    t.clock.advance(10_000)
    expect(t.errors.join()).toContain('early messages are dropped')
    peer.write(frame(9, 'ping'))
    await peer.until((p) => p.text.includes('ping'))
  })

  it('pitfall 8: frames in the same packet as the upgrade arrive, in order, however slow the decision is', async () => {
    const t = await start({ slowDecision: settled, verify: later })
    const heard = heardBy(t)
    const peer = await t.raw([], '/ws', Buffer.concat([text(auth()), text('one'), text('two')]))
    await eventually(() => t.connections.length === 1)
    peer.write(text('three'))
    await eventually(() => heard.length === 3)
    expect(heard).toEqual(['one', 'two', 'three'])
  })

  it('pitfall 8: the same when verification is synchronous, where everything is one chunk', async () => {
    const t = await start()
    const heard = heardBy(t)
    await t.raw([], '/ws', Buffer.concat([text(auth()), text('one'), text('two')]))
    await eventually(() => heard.length === 2)
    expect(heard).toEqual(['one', 'two'])
  })

  it('pitfall 9: what follows the credential in its chunk is queued, within bounds', async () => {
    const answer = deferredPromise<Verification>()
    const t = await start({ verify: () => answer.promise })
    const heard = heardBy(t)
    const peer = await t.raw()
    await peer.upgraded()
    peer.write(text(auth()), ...Array.from({ length: 16 }, (_, i) => text(`m${i}`)))
    await eventually(() => t.quarantine.counts.verifying === 1)
    expect(heard).toEqual([])
    answer.resolve(yes)
    await eventually(() => heard.length === 16)

    const greedy = await start({ verify: () => new Promise(() => {}) })
    const flooder = await greedy.raw()
    await flooder.upgraded()
    flooder.write(text(auth()), ...Array.from({ length: 17 }, (_, i) => text(`m${i}`)))
    await flooder.until((p) => p.text.includes('too_many_frames'))
    greedy.clock.advance(1500)
    await flooder.until((p) => p.received.includes(Buffer.from([4429 >> 8, 4429 & 255])))
  })

  it('pitfall 10: a good credential after a refusal changes nothing', async () => {
    const t = await start()
    const client = t.connect()
    await client.send(auth(wrongToken), auth())
    await client.message()
    await settled()
    t.clock.advance(1500)
    await client.send(auth()).catch(() => {})
    expect(await client.closed()).toMatchObject({ code: 4401 })
    expect(t.connections).toHaveLength(0)
    expect(client.messages).toHaveLength(1)
  })

  it('pitfall 10: a good credential behind a close frame changes nothing', async () => {
    const t = await start()
    const peer = await t.raw()
    await peer.upgraded()
    peer.write(frame(8, Buffer.from([3, 232])), text(auth()))
    await settled()
    expect(t.connections).toHaveLength(0)
    await peer.gone()
  })

  it('pitfall 11: a peer that ignores the close frame is cut after a second, not after thirty', async () => {
    const t = await start()
    const peer = await t.raw()
    await peer.upgraded()
    peer.write(text(auth(wrongToken)))
    await peer.until((p) => p.text.includes('invalid_credential'))
    t.clock.advance(1500)
    await peer.until((p) => p.received.includes(Buffer.from([4401 >> 8, 4401 & 255])))
    await settled()
    expect(peer.ended).toBe(false)
    t.clock.advance(1000)
    await peer.gone()
    await eventually(() => t.quarantine.counts.refused === 0)
  })

  it('pitfall 12: sockets that the server no longer knows are closed by the drain', async () => {
    const t = await start()
    const accepted = t.connect()
    await accepted.send(auth())
    await accepted.message()
    const waiting = t.connect()
    await waiting.opened()
    await eventually(() => t.quarantine.counts.quarantined === 1)
    t.server.closeAllConnections()
    await settled()
    expect([accepted.ws.readyState, waiting.ws.readyState]).toEqual([1, 1])
    await t.quarantine.close()
    expect(await accepted.closed()).toMatchObject({ code: 1001 })
    expect(await waiting.closed()).toMatchObject({ code: 1001 })
  })

  it('pitfall 13: a broadcast to wss.clients does not reach a socket that is not accepted', async () => {
    const answer = deferredPromise<Verification>()
    const t = await start({ verify: (value) => (value === goodToken ? answer.promise : yes) })
    const accepted = t.connect()
    await accepted.send(auth('another-token-0123456789'))
    await accepted.message()
    const waiting = t.connect()
    const verifying = t.connect()
    const page = t.connect({ origin }, '/strict')
    await Promise.all([waiting.opened(), page.opened()])
    await verifying.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 1)
    expect(t.wss.clients.size).toBe(1)
    for (const client of t.wss.clients) client.send('{"secret":true}')
    await accepted.message(1)
    answer.resolve(yes)
    await verifying.message()
    expect(verifying.messages.join()).not.toContain('secret')
    expect(waiting.messages.join() + page.messages.join()).not.toContain('secret')
    expect(t.wss.clients.size).toBe(2)
    await new Promise<void>((resolve) => {
      t.wss.close(() => resolve())
      for (const client of t.wss.clients) client.terminate()
    })
  })

  it('pitfall 17: a verification that rejects, or an application that does, does not end the process', async () => {
    const rejections: unknown[] = []
    const listener = (error: unknown): void => void rejections.push(error)
    process.on('unhandledRejection', listener)
    const t = await start()
    const broken = Object.assign(Object.create(t.gate), { resume: () => Promise.reject(new Error('never')) })
    const { createQuarantine } = await import('upgate/ws')
    const { WebSocketServer } = await import('ws')
    const quarantine = createQuarantine(broken)
    const wss = new WebSocketServer({ noServer: true })
    wss.on('connection', () => {})
    t.server.removeAllListeners('upgrade')
    t.server.on('upgrade', async (request, socket, head) => {
      const { NodeRequest } = await import('../../src/node/request.ts')
      const decision = await t.gate.decide(new NodeRequest('upgrade', request))
      if (decision.outcome === 'defer') quarantine.admit({ wss, request, socket, head, decision })
    })
    const client = t.connect()
    await client.send(auth())
    expect(await client.message()).toMatchObject({ code: 'unavailable' })
    await settled()
    process.removeListener('unhandledRejection', listener)
    expect(rejections).toEqual([])
    const drained = quarantine.close()
    t.clock.advance(1000)
    await drained
  })

  it('pitfall 19: a token offered as subprotocol is never echoed', async () => {
    const secrets = [
      'ugd_4f9a8sd7f6g5h4j3k2l1',
      'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln',
      'base64url.bearer.authorization.k8s.io.dG9rZW4',
      'x'.repeat(65),
    ]
    const t = await start()
    for (const secret of secrets) {
      const client = t.connect({}, '/ws', [secret, 'chat.v1'])
      await client.opened()
      expect(client.ws.protocol).toBe('chat.v1')
      await client.send(auth())
      await client.message()
      const peer = await t.raw([`Sec-WebSocket-Protocol: ${secret}`])
      await peer.upgraded()
      expect(peer.text).not.toContain('Sec-WebSocket-Protocol')
    }
    // The application still sees the offered subprotocols.
    expect(t.connections[0]?.request.headers['sec-websocket-protocol']).toBe(`${secrets[0]},chat.v1`)
  })

  it('pitfall 21: close codes and reasons that ws would throw for are made valid', async () => {
    for (const code of [1005, 1006, 1015, 999, 5000, 0, -1, 1004, 2999, 3000.5, Number.NaN]) {
      expect(validCloseCode(code)).toBe(1008)
    }
    for (const code of [1000, 1001, 1008, 1009, 1011, 1012, 1013, 1014, 3000, 4401, 4999]) {
      expect(validCloseCode(code)).toBe(code)
    }
    expect(validCloseReason('x'.repeat(123))).toHaveLength(123)
    expect(Buffer.byteLength(validCloseReason('ä'.repeat(200)))).toBe(122)
    expect(validCloseReason('😀'.repeat(40))).toBe('😀'.repeat(30))
    expect(Buffer.byteLength(validCloseReason('\ud800'.repeat(200)))).toBeLessThanOrEqual(123)

    const own = upgateHandshake()
    const t = await start({
      handshake: { ...own, reject: () => ({ frames: [], closeCode: 1006, closeReason: '😀'.repeat(100) }) },
    })
    const client = t.connect()
    await client.send({ type: 'auth', token: wrongToken })
    await eventually(() => t.quarantine.counts.refused === 1)
    t.clock.advance(1500)
    expect(await client.closed()).toEqual({ code: 1008, reason: '😀'.repeat(30) })
  })

  it('pitfall 22: a frame that has already arrived beats the deadline, though the timer fires first', async () => {
    for (const verify of [() => yes, later]) {
      const t = await start({ verify })
      const client = t.connect()
      await client.opened()
      await eventually(() => t.quarantine.counts.quarantined === 1)
      await new Promise<void>((resolve) => client.ws.send(JSON.stringify(auth()), () => resolve()))
      // The event loop was blocked: the frame lies in the kernel, and the timer is run before it is read.
      t.clock.advance(10_000)
      expect(await client.message()).toMatchObject({ type: 'auth_ok' })
    }
  })

  it('pitfall 23: a flood of pings is cut after sixteen, and answered no more often', async () => {
    const t = await start()
    const peer = await t.raw()
    await peer.upgraded()
    const before = peer.received.length
    for (let i = 0; i < 100; i++) peer.write(...Array.from({ length: 100 }, () => frame(9, '')))
    await peer.until((p) => p.text.includes('too_many_frames'))
    t.clock.advance(1500)
    await settled()
    t.clock.advance(1000)
    await peer.gone()
    expect(peer.received.length - before).toBeLessThan(1000)
    expect(t.connections).toHaveLength(0)
  })

  it('pitfall 23: fragments without end are cut by the bytes they cost', async () => {
    const t = await start()
    const peer = await t.raw()
    await peer.upgraded()
    peer.write(frame(1, 'x', false))
    const fragment = frame(0, 'x'.repeat(1000), false)
    for (let i = 0; i < 400; i++) peer.write(fragment)
    await peer.until((p) => p.text.includes('too_big'))
    t.clock.advance(1500)
    await peer.until((p) => p.received.includes(Buffer.from([1009 >> 8, 1009 & 255])))
    t.clock.advance(1000)
    await peer.gone()
  })

  it('pitfall 23: one byte at a time does not outlast the deadline', async () => {
    const t = await start()
    const peer = await t.raw()
    await peer.upgraded()
    const whole = text({ padding: 'x'.repeat(200), ...auth() })
    for (let i = 0; i < 40; i++) {
      peer.write(whole.subarray(i, i + 1))
      t.clock.advance(249)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(peer.ended).toBe(false)
    t.clock.advance(100)
    await peer.until((p) => p.text.includes('handshake_timeout'))
    t.clock.advance(1000)
    await peer.gone()
  })

  it('answers an invalid WebSocket frame as the protocol demands, and hides its content', async () => {
    const t = await start({ handshake: jsonFrame({ credential: (m) => m.auth?.token }) })
    const cases: [Buffer, RegExp][] = [
      [frame(2, Buffer.from([1, 2, 3])), /binary/],
      [text('secret-value{'), /not valid JSON/],
      [text('[]'), /not an object/],
      [text('{"other":1}'), /no credential/],
      [text('{"auth":{"token":{"a":1}}}'), /wrong type/],
      [frame(1, Buffer.from([0xff, 0xfe])), /^$/],
    ]
    for (const [bytes, detail] of cases) {
      const peer = await t.raw()
      await peer.upgraded()
      peer.write(bytes)
      if (detail.source === '^$') await eventually(() => t.events.at(-1)?.type === 'socket_refused')
      else await peer.until((p) => detail.test(p.text))
      expect(peer.text).not.toContain('secret-value')
      peer.destroy()
    }
    expect(JSON.stringify(t.events)).not.toContain('secret-value')
  })
})
