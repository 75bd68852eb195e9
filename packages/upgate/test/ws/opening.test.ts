/* `open` had to answer at once: a server that asks another one first, such as a proxy, could not greet its clients. */
import { type Handshake, type OutgoingFrame, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type Client,
  closeAll,
  deferredPromise,
  eventually,
  frame,
  type Harness,
  type Options,
  settled,
  start,
  text,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

const good = upgateHandshake()
const auth = (token = 'node-token-0123456789abcdef'): object => ({ type: 'auth', token })
const empty = { quarantined: 0, verifying: 0, refused: 0, accepted: 0, anonymous: 0 }

interface Stage extends Harness {
  /** Ends the opening of a socket, by the order of arrival. */
  readonly openings: ReturnType<typeof deferredPromise<readonly OutgoingFrame[]>>[]
  readonly heard: string[]
  readonly gone: unknown[]
}

/** A handshake whose `open` answers when the test says so. */
async function slow(options: Options = {}, parts: Partial<Handshake> = {}): Promise<Stage> {
  const openings: Stage['openings'] = []
  const heard: string[] = []
  const gone: unknown[] = []
  const handshake: Handshake = {
    ...good,
    open(context) {
      const opening = deferredPromise<readonly OutgoingFrame[]>()
      context.state = openings.push(opening)
      return opening.promise
    },
    receive(frame, context) {
      heard.push(frame.binary ? 'binary' : frame.text)
      return good.receive(frame, context)
    },
    closed: (context) => void gone.push([context.state, context.gone]),
    ...parts,
  }
  const t = await start({ handshake, ...options })
  return { ...t, openings, heard, gone }
}

async function connected(t: Stage, headers: Record<string, string> = {}): Promise<Client> {
  const before = t.openings.length
  const client = t.connect(headers)
  await client.opened()
  await eventually(() => t.openings.length > before)
  return client
}

describe('an opening that takes its time', () => {
  it('greets when it answers; frames that came before are heard after it, in order', async () => {
    const t = await slow()
    const client = await connected(t)
    await client.send(auth(), { type: 'data', n: 1 })
    await settled()
    expect(t.heard).toEqual([])
    expect(t.connections).toEqual([])
    t.openings[0]?.resolve(['{"hello":1}'])
    expect(await client.message(1)).toMatchObject({ type: 'auth_ok' })
    expect(client.messages[0]).toBe('{"hello":1}')
    expect(t.heard).toEqual([JSON.stringify(auth())])
    const messages: string[] = []
    t.connections[0]?.ws.on('message', (data) => messages.push(String(data)))
    await eventually(() => messages.length === 1)
    expect(messages).toEqual(['{"type":"data","n":1}'])
    expect(t.gone).toEqual([])
  })

  it('reads no more than a queue of frames, and only 64 KiB, until it answers', async () => {
    const t = await slow({ limits: { maxQueuedMessages: 4 } })
    const flood = await t.raw()
    await flood.upgraded()
    flood.write(...Array.from({ length: 5 }, (_, i) => text({ i })))
    await flood.until((peer) => peer.text.includes('too_many_frames'))
    const big = await t.raw()
    await big.upgraded()
    // A frame that never ends: paused or not, its bytes are counted.
    for (let i = 0; i < 20; i++) big.write(frame(i === 0 ? 2 : 0, Buffer.alloc(8192), false))
    await big.until((peer) => peer.text.includes('too_big'))
    expect(t.heard).toEqual([])
    const pings = await t.raw()
    await pings.upgraded()
    pings.write(...Array.from({ length: 17 }, () => frame(9, '')))
    await pings.until((peer) => peer.text.includes('too_many_frames'))
    t.openings.forEach((opening) => {
      opening.resolve(['{"late":true}'])
    })
    await settled()
    for (const peer of [flood, big, pings]) expect(peer.text).not.toContain('late')
    t.clock.advance(5000)
    for (const peer of [flood, big, pings]) await peer.gone()
    await eventually(() => t.gone.length === 3)
    expect(t.quarantine.counts).toEqual(empty)
  })

  it('is refused as unavailable at the deadline, which it shares with everything after it', async () => {
    const t = await slow()
    const hung = await connected(t)
    const opened = await connected(t)
    t.clock.advance(9000)
    t.openings[1]?.resolve([])
    await settled()
    t.clock.advance(1000)
    expect(await hung.closed()).toEqual({ code: 1013, reason: 'unavailable' })
    expect(await opened.closed()).toEqual({ code: 4408, reason: 'handshake_timeout' })
    expect(await hung.message()).toMatchObject({
      code: 'unavailable',
      message: 'The handshake was not opened in time.',
    })
    await eventually(() => t.gone.length === 2)
    // Answers at last: nothing is left that it could reach.
    t.openings[0]?.resolve(['{"late":true}'])
    await settled()
    expect(hung.messages).toHaveLength(1)
    expect(t.quarantine.counts).toEqual(empty)
    expect(t.errors.filter((line) => line.startsWith('error'))).toEqual([])
  })

  it('has no effect after its socket has gone, whether it answers or rejects, and is told so', async () => {
    const gone: boolean[] = []
    const ends = [deferredPromise<void>(), deferredPromise<void>(), deferredPromise<void>()]
    let count = 0
    const t = await slow(
      {},
      {
        async open(context) {
          const mine = count++
          await ends[mine]?.promise
          gone.push(context.gone)
          if (mine === 1) throw new Error('the upstream was closed')
          return mine === 2 ? ('no list' as never) : ['{"late":true}']
        },
      },
    )
    const clients = [t.connect(), t.connect(), t.connect()]
    await Promise.all(clients.map((client) => client.opened()))
    await eventually(() => count === 3)
    for (const client of clients) client.destroy()
    await eventually(() => t.gone.length === 3)
    expect(t.quarantine.counts).toEqual(empty)
    for (const end of ends) end.resolve()
    await eventually(() => gone.length === 3)
    await settled()
    expect(gone).toEqual([true, true, true])
    expect(t.gone).toHaveLength(3)
    expect(t.errors.filter((line) => line.startsWith('error'))).toEqual([])
    expect(t.events.filter(({ type }) => type !== 'deferred')).toEqual([])
  })

  it.each([
    ['rejects', () => Promise.reject(new Error('the token of the upstream is up-secret-0123456789'))],
    [
      'throws',
      () => {
        throw new Error('up-secret-0123456789')
      },
    ],
    ['answers with no list', () => Promise.resolve('frames' as never)],
    ['answers with a frame that is none', () => Promise.resolve([{ hello: 1 }] as never)],
    [
      'is a thenable that throws',
      () =>
        ({
          // biome-ignore lint/suspicious/noThenProperty: as hostile as a library can be
          then() {
            throw new Error('no')
          },
        }) as never,
    ],
  ])('that %s is one refusal, logged without what it quotes', async (_, open) => {
    const t = await slow(
      {},
      {
        open(context) {
          context.state = { upstream: 'up-secret-0123456789' }
          return open()
        },
      },
    )
    const client = t.connect()
    expect(await client.message()).toMatchObject({ type: 'auth_error', code: 'unavailable' })
    t.clock.advance(2000)
    expect(await client.closed()).toEqual({ code: 1013, reason: 'unavailable' })
    expect(client.messages).toHaveLength(1)
    expect(t.errors.filter((line) => line.includes('A handshake threw.'))).toHaveLength(1)
    expect(t.logged.join()).not.toContain('up-secret')
    await eventually(() => t.gone.length === 1)
    expect(t.quarantine.counts).toEqual(empty)
  })

  it('that settles twice greets once', async () => {
    const t = await slow(
      {},
      {
        open: () =>
          ({
            // biome-ignore lint/suspicious/noThenProperty: as hostile as a library can be
            then(yes: (frames: readonly string[]) => void, no: (error: unknown) => void) {
              yes(['{"n":1}'])
              yes(['{"n":2}'])
              no(new Error('and failed'))
            },
          }) as never,
      },
    )
    const client = t.connect()
    await client.send(auth())
    expect(await client.message(1)).toMatchObject({ type: 'auth_ok' })
    expect(client.messages[0]).toBe('{"n":1}')
    expect(t.errors.filter((line) => line.startsWith('error'))).toEqual([])
  })

  it('pauses a client that does not wait for it, and reads on afterwards', async () => {
    const t = await slow(
      { limits: { maxQueuedMessages: 1 } },
      { receive: (frame, context) => (frame.binary ? { step: 'ignore' } : good.receive(frame, context)) },
    )
    const client = await connected(t)
    await client.send(Buffer.from('early') as never)
    await settled()
    // In a packet of its own: it stays unread, and would not fit into the queue.
    await client.send(auth())
    await settled()
    expect(client.messages).toEqual([])
    t.openings[0]?.resolve([])
    expect(await client.message()).toMatchObject({ type: 'auth_ok' })
  })

  it('gives up its place under pressure like any other that waits', async () => {
    const t = await slow({ limits: { maxSockets: 2, reservedShare: 0 } })
    const first = await connected(t)
    await connected(t)
    await connected(t)
    expect(await first.closed()).toEqual({ code: 1013, reason: 'over_capacity' })
    await eventually(() => t.gone.length === 1)
    t.openings[0]?.resolve(['{"late":true}'])
    await settled()
    expect(t.quarantine.counts).toMatchObject({ quarantined: 2, refused: 0 })
    expect(t.errors.filter((line) => line.startsWith('error'))).toEqual([])
  })

  it('ends with the server: on drain, and when its WebSocketServer is closed', async () => {
    const t = await slow()
    const [one, two] = [await connected(t), await connected(t)]
    t.wss.close()
    expect(await one.closed()).toEqual({ code: 1001, reason: 'shutdown' })
    expect(await two.closed()).toEqual({ code: 1001, reason: 'shutdown' })
    const u = await slow()
    const client = await connected(u)
    const drained = u.quarantine.close({ code: 1012 })
    expect(await client.closed()).toEqual({ code: 1012, reason: 'restart' })
    await drained
    for (const opening of [...t.openings, ...u.openings]) opening.resolve(['{"late":true}'])
    await settled()
    expect([t.gone.length, u.gone.length]).toEqual([2, 1])
  })

  it('does not let the next socket of its address wait for it', async () => {
    const t = await slow()
    await connected(t, { 'x-forwarded-for': '192.0.2.1' })
    const second = await connected(t, { 'x-forwarded-for': '192.0.2.1' })
    t.openings[1]?.resolve([])
    await second.send(auth(wrongToken))
    expect(await second.message()).toMatchObject({ code: 'invalid_credential' })
  })
})
