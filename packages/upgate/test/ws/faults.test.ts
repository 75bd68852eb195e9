/* What a handshake threw was logged with the frame that it quoted, once for each frame a peer cared to send. */
import { upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, device, eventually, goodToken, start, table, wrongToken } from './harness.ts'

afterEach(closeAll)

const good = upgateHandshake()
const auth = (token = goodToken) => ({ type: 'auth', token })

function quote(text: string): never {
  throw new TypeError(`cannot read "${text.slice(0, 20)}"`)
}

describe('a handshake that throws', () => {
  it.each(['open', 'receive', 'accept', 'reject'] as const)('in `%s`: the log names it', async (hook) => {
    for (const broken of [
      () => {
        throw new Error('bug')
      },
      () => Promise.reject(new Error('bug')),
      () => undefined,
      () => ({ step: 'send', frames: undefined }),
      () => ({ step: 'send', frames: [{}] }),
      () => [undefined],
    ]) {
      const t = await start({ handshake: { ...good, name: 'mine', [hook]: broken } as never })
      const client = t.connect()
      await client.send(auth(hook === 'reject' ? wrongToken : goodToken))
      const code = { open: 'unavailable', receive: 'bad_handshake', accept: 'unavailable' }[hook as 'open']
      if (hook !== 'reject') expect(await client.message()).toMatchObject({ type: 'auth_error', code })
      else await eventually(() => t.logged.length > 0)
      t.clock.advance(1500)
      expect(await client.closed()).toMatchObject(
        hook === 'reject' ? { code: 4401, reason: 'invalid_credential' } : { reason: code },
      )
      // Its clients speak a protocol that the gate does not know: no frame in the place of its own.
      if (hook === 'reject') expect(client.messages).toEqual([])
      expect(t.connections).toHaveLength(0)
      expect(t.logged.map((line) => JSON.parse(line))).toMatchObject([
        { message: 'A handshake threw.', handshake: 'mine', hook },
      ])
      if (hook !== 'reject') {
        expect(t.events.at(-1)).toMatchObject({
          type: 'socket_refused',
          note: `The handshake mine failed in \`${hook}\`.`,
        })
      }
    }
  })

  it('logs neither the frame, nor the credential in it, nor one that it kept or was given to hand out', async () => {
    const issued = { deviceToken: 'issued-0123456789abcdef' }
    const verify = () => ({ outcome: 'authenticated', principal: device('node-1'), issued }) as const
    const hooks = {
      receive: (frame: { text: string }) => quote(JSON.parse(frame.text).token),
      accept: (acceptance: { issued: typeof issued }) => quote(acceptance.issued.deviceToken),
      reject: (_: unknown, context: { state: { kept: string } }) => quote(context.state.kept),
    }
    for (const [hook, broken] of Object.entries(hooks)) {
      const t = await start({
        verify: hook === 'reject' ? table({}) : verify,
        handshake: {
          ...good,
          receive(frame, context) {
            context.state = { kept: goodToken }
            return good.receive(frame, context)
          },
          [hook]: broken,
        },
      })
      const client = t.connect()
      await client.send(auth())
      await eventually(() => t.logged.length > 0)
      const text = t.logged.join() + JSON.stringify(t.events)
      expect(text, hook).toContain('cannot read \\"[redacted]\\"')
      for (const secret of ['node-token', 'issued-01', '0123456']) expect(text, hook).not.toContain(secret)
    }
  })

  it('at the first frame of a socket that HTTP let in, is logged in the same way', async () => {
    for (const [hook, code] of [
      ['claims', 'bad_handshake'],
      ['receive', 'bad_handshake'],
      ['accept', 'unavailable'],
    ] as const) {
      for (const broken of [(frame: { text?: string }) => quote(frame.text ?? 'x'), async () => quote('x')]) {
        const t = await start({ handshake: { ...good, name: 'mine', [hook]: broken } as never })
        const client = t.connect({ authorization: `Bearer ${goodToken}` })
        await client.send(auth())
        expect(await client.message()).toMatchObject({ type: 'auth_error', code })
        expect(t.logged.map((line) => JSON.parse(line))).toMatchObject([
          { message: 'A handshake threw.', handshake: 'mine', hook },
        ])
        expect(t.events.at(-1)).toMatchObject({ note: `The handshake mine failed in \`${hook}\`.` })
        expect(t.logged.join()).not.toContain('node-token')
      }
    }
  })

  it('is logged at a bounded rate, however many frames find the bug', async () => {
    const t = await start({
      handshake: { ...good, receive: () => quote('x') },
      limits: { maxRefusals: 1_000, hold: 0 },
    })
    for (let i = 0; i < 12; i++) {
      const client = t.connect()
      await client.send(auth())
      await client.closed()
    }
    expect(t.logged).toHaveLength(5)
    t.clock.advance(10_000)
    const client = t.connect()
    await client.send(auth())
    await client.closed()
    expect(JSON.parse(t.logged[5] as string)).toMatchObject({ suppressed: 7 })
  })
})

describe('a scheme that throws at a credential in a frame', () => {
  it('is named in the log and in the event, without the credential', async () => {
    for (const verify of [(value: string) => quote(value), async (value: string) => quote(value)]) {
      const t = await start({ verify, handshake: good })
      const client = t.connect()
      await client.send(auth())
      expect(await client.message()).toMatchObject({ type: 'auth_error', code: 'unavailable' })
      expect(t.events.at(-1)).toMatchObject({ type: 'socket_refused', code: 'unavailable', scheme: 'token' })
      expect(JSON.parse(t.logged[0] as string)).toMatchObject({
        message: 'A scheme threw.',
        scheme: 'token',
        hook: 'verify',
        error: 'TypeError: cannot read "[redacted]"',
      })
      expect(t.logged.join()).not.toContain('node-token')
    }
  })
})

describe('a listener of the application that throws', () => {
  it('at the frame that was handed on to it, is logged without the credential in it', async () => {
    const t = await start({
      handshake: {
        ...good,
        receive: (frame, context) => ({ ...good.receive(frame, context), replay: true }) as never,
      },
    })
    t.wss.on('connection', (ws) => ws.on('message', (data) => quote(JSON.parse(String(data)).token)))
    const client = t.connect()
    await client.send(auth())
    expect(await client.message()).toMatchObject({ type: 'auth_ok' })
    expect(await client.closed()).toMatchObject({ code: 1011 })
    expect(t.logged.join()).toContain('cannot read \\"[redacted]\\"')
    expect(t.logged.join()).not.toContain('node-token')
  })
})
