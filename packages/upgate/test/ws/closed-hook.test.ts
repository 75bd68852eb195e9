/* A handshake that opened something for a socket was not told when the socket had gone. */
import { createGate } from 'upgate'
import { type Handshake, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import {
  closeAll,
  deferredPromise,
  device,
  eventually,
  frame,
  goodToken,
  type Harness,
  type Options,
  origin,
  settled,
  start,
  table,
  text,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

const good = upgateHandshake({ refresh: true })
const auth = (token = goodToken): object => ({ type: 'auth', token })
const bearer = (token = goodToken): Record<string, string> => ({ authorization: `Bearer ${token}` })
const empty = { quarantined: 0, verifying: 0, refused: 0, accepted: 0, anonymous: 0 }

interface Stage extends Harness {
  /** The states that `open` made, of the sockets that are gone. */
  readonly gone: unknown[]
}

async function watching(options: Options = {}, parts: Partial<Handshake> = {}): Promise<Stage> {
  const gone: unknown[] = []
  let opened = 0
  const handshake: Handshake = {
    ...good,
    open(context) {
      context.state = ++opened
      return []
    },
    closed(context) {
      if (!context.gone) throw new Error('not gone')
      gone.push(context.state)
    },
    ...parts,
  }
  const t = await start({ handshake, ...options })
  return { ...t, gone }
}

type Ending = [name: string, end: (t: Stage) => Promise<unknown>, options?: Options]

const verifying = deferredPromise<never>()

const endings: Ending[] = [
  [
    'leaves before it says anything',
    async (t) => {
      const client = t.connect()
      await client.opened()
      client.ws.close()
    },
  ],
  [
    'resets',
    async (t) => {
      const peer = await t.raw()
      await peer.upgraded()
      peer.reset()
    },
  ],
  [
    'breaks the protocol',
    async (t) => {
      const peer = await t.raw()
      await peer.upgraded()
      peer.write(Buffer.from([0xff, 0xff, 0xff]))
      await peer.until(({ received }) => received.includes(Buffer.from([0x88, 2, 3, 234])))
      t.clock.advance(1000)
    },
  ],
  [
    'sends a wrong credential, is held and closed',
    async (t) => {
      const client = t.connect()
      await client.send(auth(wrongToken))
      await client.message()
      t.clock.advance(2000)
      await client.closed()
    },
  ],
  [
    'leaves while it is held',
    async (t) => {
      const client = t.connect()
      await client.send(auth(wrongToken))
      await client.message()
      client.destroy()
      // Paused: only the end of the hold notices.
      t.clock.advance(2000)
    },
  ],
  [
    'ignores the close frame',
    async (t) => {
      const peer = await t.raw()
      await peer.upgraded()
      peer.write(text(auth(wrongToken)))
      await peer.until(({ received }) => received.includes('auth_error'))
      t.clock.advance(1500)
      t.clock.advance(1000)
      await peer.gone()
    },
  ],
  [
    'is too slow',
    async (t) => {
      const client = t.connect()
      await client.opened()
      await eventually(() => t.quarantine.counts.quarantined === 1)
      t.clock.advance(10_000)
      await client.closed()
    },
  ],
  [
    'leaves during its verification',
    async (t) => {
      const client = t.connect()
      await client.send(auth())
      await eventually(() => t.quarantine.counts.verifying === 1)
      client.destroy()
    },
    { verify: () => verifying.promise },
  ],
  [
    'is evicted',
    async (t) => {
      const client = t.connect()
      await client.opened()
      await eventually(() => t.quarantine.counts.quarantined === 1)
      await t.connect({}, '/other').opened()
      expect(await client.closed()).toMatchObject({ reason: 'over_capacity' })
    },
    {
      limits: { maxSockets: 1, reservedShare: 0 },
      rules: undefined as never,
    },
  ],
  [
    'is drained while it waits',
    async (t) => {
      await t.connect().opened()
      await eventually(() => t.quarantine.counts.quarantined === 1)
      await t.quarantine.close()
    },
  ],
  [
    'was accepted and leaves',
    async (t) => {
      const client = t.connect()
      await client.send(auth())
      await client.message()
      expect(t.gone).toEqual([])
      client.ws.close()
    },
  ],
  [
    'was accepted and is revoked',
    async (t) => {
      const client = t.connect()
      await client.send(auth())
      await client.message()
      t.revoke({ credentialId: 'node-1-credential' })
      expect(await client.closed()).toMatchObject({ code: 4403 })
    },
  ],
  [
    'was accepted and its listener throws',
    async (t) => {
      t.wss.on('connection', () => {
        throw new Error('a bug')
      })
      const client = t.connect()
      await client.send(auth())
      expect(await client.closed()).toMatchObject({ code: 1011 })
    },
  ],
  [
    'was accepted and is drained',
    async (t) => {
      const client = t.connect()
      await client.send(auth())
      await client.message()
      await t.quarantine.close()
    },
  ],
  [
    'was accepted and renewed twice',
    async (t) => {
      const client = t.connect()
      await client.send(auth(), { type: 'auth_refresh', token: goodToken })
      await client.message(1)
      await client.send({ type: 'auth_refresh', token: goodToken })
      await client.message(2)
      client.destroy()
    },
  ],
]

describe('a handshake is told once that a socket is gone which', () => {
  it.each(endings)('%s', async (_, end, options = {}) => {
    const quiet = upgateHandshake()
    const gone: unknown[] = []
    const handshake: Handshake = {
      ...good,
      open(context) {
        context.state = 'mine'
        return []
      },
      closed: (context) => void gone.push([context.state, context.gone]),
    }
    const rules = [
      { path: '/ws', access: 'deferred', kinds: ['device'], handshake },
      { path: '/other', access: 'deferred', kinds: ['device'], handshake: quiet },
    ] as const
    const t = { ...(await start({ ...options, rules })), gone }
    await end(t)
    await eventually(() => gone.length > 0)
    t.clock.advance(20_000)
    await settled()
    expect(gone).toEqual([['mine', true]])
    expect(t.errors.filter((line) => line.includes('handshake'))).toEqual([])
  })

  it('HTTP let in, and whose first frame the handshake read', async () => {
    const t = await watching(
      {},
      {
        receive: (frame, context) => {
          context.state = 'first'
          return good.receive(frame, context)
        },
      },
    )
    const [reads, refused, data] = [t.connect(bearer()), t.connect(bearer()), t.connect(bearer())]
    await reads.send(auth())
    await reads.message()
    await refused.send(auth(wrongToken))
    await refused.message()
    await data.send({ type: 'data' })
    await eventually(() => t.connections.length === 3)
    expect(t.gone).toEqual([])
    reads.ws.close()
    await eventually(() => t.gone.length === 1)
    data.ws.close()
    t.clock.advance(2000)
    await refused.closed()
    await eventually(() => t.gone.length === 2)
    t.clock.advance(2000)
    await settled()
    // The handshake never got the context of the third one.
    expect(t.gone).toEqual(['first', 'first'])
  })

  it('its server let in only later, by an asynchronous `verifyClient`', async () => {
    const answers: (() => void)[] = []
    const verifyClient = (_: unknown, answer: (ok: boolean) => void): void => {
      answers.push(() => answer(true))
    }
    const t = await watching({ server: { verifyClient } })
    const [waits, enters] = [t.connect(), t.connect()]
    await eventually(() => answers.length === 2)
    for (const answer of answers) answer()
    await waits.opened()
    await enters.send(auth())
    await enters.message()
    waits.destroy()
    enters.destroy()
    await eventually(() => t.gone.length === 2)
    await settled()
    expect([...t.gone].sort()).toEqual([1, 2])
    expect(t.quarantine.counts).toEqual(empty)
    // Each counted once: a drain still waits for the one that ignores its close frame.
    const peer = await t.raw()
    await eventually(() => answers.length === 3)
    answers[2]?.()
    await peer.upgraded()
    let drained = false
    const drain = t.quarantine.close().then(() => {
      drained = true
    })
    await settled()
    expect(drained).toBe(false)
    t.clock.advance(1000)
    await drain
  })

  it('not for a socket that the handshake knows nothing of', async () => {
    const t = await watching({}, { open: undefined as never })
    const silent = t.connect()
    const admitted = t.connect(bearer())
    await silent.opened()
    await admitted.opened()
    await eventually(() => t.quarantine.counts.accepted === 1)
    silent.destroy()
    admitted.destroy()
    await eventually(() => t.quarantine.counts.accepted === 0 && t.quarantine.counts.quarantined === 0)
    await settled()
    expect(t.gone).toEqual([])
  })
})

describe('a handshake whose `closed` fails', () => {
  it.each<[string, Handshake['closed']]>([
    [
      'throws',
      () => {
        throw new Error('cannot close node-secret-0123456789')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('cannot close node-secret-0123456789')
      },
    ],
    [
      'is a thenable that throws',
      () =>
        ({
          // biome-ignore lint/suspicious/noThenProperty: as hostile as a library can be
          then() {
            throw new Error('cannot close node-secret-0123456789')
          },
        }) as never,
    ],
  ])('%s: logged without secrets, and harms nothing', async (_, closed) => {
    const t = await watching(
      { limits: { maxSockets: 4, maxSocketsPerAddress: 2 } },
      {
        open(context) {
          context.state = { upstream: 'node-secret-0123456789' }
          return []
        },
        ...(closed && { closed }),
      },
    )
    const forwarded = { 'x-forwarded-for': '192.0.2.1' }
    for (let i = 0; i < 3; i++) {
      const [waiting, accepted] = [t.connect(forwarded), t.connect(forwarded)]
      await waiting.opened()
      await accepted.send(auth())
      await accepted.message()
      waiting.destroy()
      accepted.destroy()
      await eventually(() => t.quarantine.counts.accepted + t.quarantine.counts.quarantined === 0)
    }
    await settled()
    expect(t.quarantine.counts).toEqual(empty)
    expect(t.errors.length).toBeGreaterThan(0)
    expect(t.errors.every((line) => line.startsWith('error: A handshake threw.'))).toBe(true)
    expect(JSON.parse(t.logged[0] as string)).toMatchObject({ handshake: 'upgate', hook: 'closed' })
    expect(t.logged.join()).not.toContain('node-secret')
    await t.quarantine.close()
  })

  it('throws at construction if it is no function', () => {
    const handshake = { ...good, closed: 'yes' as never }
    const scheme = {
      name: 'x',
      ambient: false,
      verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: '' }),
    }
    expect(() =>
      createGate({
        origins: [origin],
        schemes: [scheme as never],
        rules: [{ path: '/ws', access: 'deferred', handshake }],
      }),
    ).toThrow('`handshake.closed` must be a function')
  })
})

it('a handshake with `closed` has its socket in memory no longer than without', async () => {
  const t = await watching({ verify: table({ [goodToken]: device('node-1') }) })
  const peers = await Promise.all(Array.from({ length: 50 }, () => t.raw()))
  await Promise.all(peers.map((peer) => peer.upgraded()))
  for (const [i, peer] of peers.entries()) {
    if (i % 3 === 0) peer.write(text(auth()))
    if (i % 3 === 1) peer.write(frame(8, Buffer.from([3, 232])))
  }
  await eventually(() => t.quarantine.counts.accepted === 17)
  for (const peer of peers) peer.destroy()
  await eventually(() => t.gone.length === 50)
  expect(new Set(t.gone).size).toBe(50)
  expect(t.quarantine.counts).toEqual(empty)
})
