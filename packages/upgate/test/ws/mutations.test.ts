// Seeded mutations of a good exchange for each handshake: a refusal in the words of its protocol, never a throw, and
// nothing is accepted that proves anything else. UPGATE_MUTATIONS=10000 and UPGATE_SEED=7 make more and other ones.
import {
  claimSecret,
  createGate,
  createServices,
  type DecisionOf,
  deviceKey,
  deviceToken,
  type Gate,
  memoryStore,
} from 'upgate'
import { manualClock } from 'upgate/testing'
import {
  centrifuge,
  connectFrame,
  type Frame,
  graphqlWs,
  type Handshake,
  type HandshakeContext,
  jsonFrame,
  upgateHandshake,
} from 'upgate/ws'
import { beforeAll, describe, expect, it } from 'vitest'
import { client, connectRequest } from '../pairing/connect-request.ts'
import { DeviceIdentity, signedAuth } from '../pairing/stage.ts'
import { seededRandom } from './harness.ts'

const runs = Number(process.env.UPGATE_MUTATIONS ?? 2_000)
const seed = Number(process.env.UPGATE_SEED ?? 1)
const clock = manualClock()
const services = createServices({ store: memoryStore(), clock, pairing: { bindKeys: true } })
const device = new DeviceIdentity()
let token: string

beforeAll(async () => {
  // Its first use binds the key, so that a proof with another one must fail.
  ;({ token } = await services.devices.create({ name: 'kitchen', scopes: ['node.run'] }))
})

type Message = Readonly<Record<string, unknown>>

interface Subject {
  readonly handshake: Handshake
  /** The frames of a good exchange, after the nonce of the opening. */
  exchange(nonce: string): readonly object[]
  /** The proof in a frame: the frame may be accepted only as long as its proof is unchanged. */
  essence(message: Message): unknown
}

const bytes = (text: unknown): string | undefined =>
  typeof text === 'string' ? Buffer.from(text, 'base64').toString('hex') : undefined
const plain = (text: unknown): string => (typeof text === 'string' ? text.trim().toLowerCase() : '')

const subjects: Record<string, Subject> = {
  jsonFrame: {
    handshake: jsonFrame({ credential: (message) => message.params?.token }),
    exchange: () => [{ id: 1, params: { token } }],
    essence: (message) => (message.params as { token?: unknown }).token,
  },
  'jsonFrame with a list': {
    handshake: jsonFrame<readonly { token?: string }[]>({ credential: (list) => list[4]?.token ?? null }),
    exchange: () => [['1', '2', 'room', 'phx_join', { token }]],
    essence: (list) => (list as unknown as { token?: unknown }[])[4]?.token,
  },
  graphqlWs: {
    handshake: graphqlWs({ credential: (payload) => payload.token }),
    exchange: () => [{ type: 'ping' }, { type: 'connection_init', payload: { token } }],
    essence: ({ payload }) => (payload as { token?: unknown }).token,
  },
  centrifuge: {
    handshake: centrifuge(),
    exchange: () => [{ id: 1, connect: { token } }],
    essence: ({ connect }) => (connect as { token?: unknown }).token,
  },
  upgateHandshake: {
    handshake: upgateHandshake(),
    exchange: () => [{ type: 'auth', token }],
    essence: (message) => message.token,
  },
  'upgateHandshake with a key': {
    handshake: upgateHandshake({ deviceKeys: true }),
    exchange: (nonce) => [
      signedAuth(device, nonce, clock.now(), { token, role: 'node', scopes: ['node.run'], name: 'kitchen' }),
    ],
    essence: ({ token: sent, device: proof = undefined, role, scopes, name }) =>
      proof === undefined || proof === null
        ? // Without a proof the token counts alone, as it would without a key.
          ['token alone', sent]
        : [
            sent,
            role,
            scopes,
            name,
            bytes((proof as { publicKey?: unknown }).publicKey),
            bytes((proof as { signature?: unknown }).signature),
            (proof as { signedAt?: unknown }).signedAt,
          ],
  },
  connectFrame: {
    handshake: connectFrame(),
    exchange: () => [
      {
        type: 'req',
        id: '1',
        method: 'connect',
        params: { minProtocol: 3, maxProtocol: 4, client, auth: { token } },
      },
    ],
    essence: ({ params }) => {
      const auth = (params as { auth: Record<string, unknown> }).auth
      return auth.token ?? auth.deviceToken ?? auth.device_token
    },
  },
  'connectFrame with a key': {
    handshake: connectFrame({ deviceKeys: true }),
    exchange: (nonce) => [
      connectRequest(device, nonce, clock.now(), { auth: { token }, scopes: ['node.run'] }),
    ],
    essence: ({ params }) => {
      const {
        auth,
        device: proof,
        role,
        scopes,
        client: about,
      } = params as Record<string, Record<string, unknown>>
      if (proof === undefined || proof === null || proof.publicKey === undefined)
        return ['token alone', auth?.token]
      const list = Array.isArray(scopes) ? scopes.join(',') : ''
      return [
        auth?.token,
        role ?? 'operator',
        list,
        about?.id,
        about?.mode,
        plain(about?.platform),
        plain(about?.deviceFamily),
        proof.id,
        bytes(proof.publicKey),
        bytes(proof.signature),
        proof.signedAt,
        proof.nonce,
      ]
    },
  },
  'connectFrame with a claim secret': {
    handshake: connectFrame({ deviceKeys: true, dangerouslyAllowNonceOnly: true }),
    exchange: () => [
      {
        type: 'req',
        id: '1',
        method: 'connect',
        params: {
          client,
          role: 'node',
          auth: { claimSecret: 'c'.repeat(43), bootstrapToken: 'AAAA-BBBB-CCCC' },
        },
      },
    ],
    // The code is of no invitation: every such frame is refused.
    essence: () => 'nothing',
  },
}

const strange: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1e308,
  2 ** 53,
  '',
  'x',
  '\0',
  '\ud800',
  '|',
  ',',
  'a'.repeat(5_000),
  [],
  {},
  [[]],
  [null],
  { length: 5 },
  { toString: 'x' },
  JSON.parse('{"then":"x"}'),
  { constructor: { prototype: {} } },
  JSON.parse('{"__proto__":{"token":"x","auth":{"token":"x"}}}'),
]

/** Changes one value somewhere in a message, or the message as text. */
function mutate(message: object, random: () => number): string | Uint8Array {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const copy = structuredClone(message) as Record<string, unknown>
  if (random() < 0.6) {
    let at = copy
    for (;;) {
      const key = pick(Object.keys(at))
      if (key === undefined) break
      const value = at[key]
      if (typeof value === 'object' && value !== null && random() < 0.8 && Object.keys(value).length > 0) {
        at = value as Record<string, unknown>
        continue
      }
      const kind = random()
      if (kind < 0.2) delete at[key]
      else if (kind < 0.4)
        at[pick(['token', 'deviceToken', 'device', 'auth', 'password', 'publicKey', 'claimSecret', 'id'])] =
          pick(strange)
      else if (kind < 0.6 && typeof value === 'string') {
        const i = Math.floor(random() * (value.length + 1))
        at[key] = value.slice(0, i) + pick(['', 'A', 'b', '=', '-', ' ', '\n', value]) + value.slice(i + 1)
      } else at[key] = pick(strange)
      break
    }
    return JSON.stringify(copy)
  }
  const text = Buffer.from(JSON.stringify(copy))
  const [from, to] = [Math.floor(random() * text.length), Math.floor(random() * text.length)]
  const kind = random()
  if (kind < 0.2) return text.subarray(0, from).toString()
  if (kind < 0.4) text[from] = Math.floor(random() * 256)
  else if (kind < 0.6) return Buffer.concat([text.subarray(0, from), text.subarray(to)]).toString()
  else if (kind < 0.7) return new Uint8Array(text)
  else if (kind < 0.8) return `${text}${text}`
  else if (kind < 0.9) return `[${text}]`
  else return text.toString('utf16le')
  return text.toString()
}

function contextOf(random: () => number): HandshakeContext {
  return {
    state: undefined,
    value: undefined,
    now: () => clock.now(),
    randomId: () => `nonce-${Math.floor(random() * 1e9)}`,
    path: '/ws',
    clientAddress: undefined,
    httpPrincipal: undefined,
    gone: false,
  }
}

async function deferredBy(handshake: Handshake): Promise<{ gate: Gate; decision: DecisionOf<'defer'> }> {
  const { devices, pairing } = services
  const gate = createGate({
    clock,
    logger: { warn: () => {}, error: (message, fields) => expect([message, fields]).toEqual([]) },
    origins: ['https://gateway.example.com'],
    schemes: [deviceToken({ devices }), deviceKey({ pairing, devices }), claimSecret({ pairing, devices })],
    rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake }],
  }) as unknown as Gate
  const headers = {
    host: 'gateway.example.com',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  const rawHeaders = Object.entries(headers).flat()
  const decision = await gate.decide({
    kind: 'upgrade',
    method: 'GET',
    target: '/ws',
    headers,
    rawHeaders,
  } as never)
  if (decision.outcome !== 'defer') throw new Error(JSON.stringify(decision))
  return { gate, decision }
}

describe.each(Object.entries(subjects))('%s', (name, { handshake: given, exchange, essence }) => {
  it(`accepts only the original proof, and refuses in its own words: ${runs} mutations`, async () => {
    const random = seededRandom(seed * 1000 + name.length)
    const { gate, decision } = await deferredBy(given)
    const { handshake } = decision
    let accepted = 0
    let refused = 0
    const play = async (
      frames: readonly (string | Uint8Array)[],
      context: HandshakeContext,
    ): Promise<boolean> => {
      for (const sent of frames) {
        const frame: Frame =
          typeof sent === 'string' ? { binary: false, text: sent } : { binary: true, bytes: sent }
        const step = handshake.receive(frame, context)
        if (step.step === 'credential') {
          const { credential, declared } = step
          const answer = await gate.resume(decision, { credential, declared })
          if (answer.outcome === 'allow') {
            handshake.accept({ principal: answer.principal, dropped: answer.dropped }, context, frame)
            return true
          }
          words(handshake.reject(answer, context, frame))
          return false
        }
        if (step.step === 'reject') {
          words(handshake.reject({ ...step, action: 'Stop.' }, context, frame))
          return false
        }
      }
      return false
    }
    const words = ({ frames, closeCode, closeReason }: ReturnType<Handshake['reject']>): void => {
      refused++
      expect(closeCode).toSatisfy((code: number) => code === 1002 || (code >= 1008 && code <= 4999))
      expect(closeReason.length).toBeLessThan(123)
      for (const said of frames) {
        expect(said.length).toBeLessThan(4_096)
        // The words hold no secret of the exchange.
        expect(String(said)).not.toContain(token)
      }
    }
    const begin = (): { context: HandshakeContext; good: readonly object[] } => {
      const context = contextOf(random)
      const [opening] = (handshake.open?.(context) ?? []) as readonly string[]
      const { nonce, payload } = JSON.parse(opening ?? '{}') as {
        nonce?: string
        payload?: { nonce: string }
      }
      return { context, good: exchange(nonce ?? payload?.nonce ?? '') }
    }
    const unchanged = begin()
    const isGood = await play(
      unchanged.good.map((message) => JSON.stringify(message)),
      unchanged.context,
    )
    expect(isGood).toBe(!name.includes('claim'))
    const started = process.cpuUsage()
    for (let i = 0; i < runs; i++) {
      const { context, good } = begin()
      const at = Math.floor(random() * good.length)
      const frames = good.map((message, place) =>
        place === at ? mutate(message, random) : JSON.stringify(message),
      )
      // Now and then everything once more: a replay.
      if (random() < 0.1) frames.push(...frames)
      const before = good.at(-1) as Message
      if (!(await play(frames, context))) continue
      accepted++
      const last = frames[good.length - 1]
      const line = String(typeof last === 'string' ? last : '')
        .trimStart()
        .split('\n')[0]
      const proved = JSON.stringify(essence(JSON.parse(line as string)))
      const originally = JSON.stringify(essence(before))
      if (proved !== originally) expect(proved).toBe(JSON.stringify(['token alone', token]))
    }
    expect(refused).toBeGreaterThan(runs / 4)
    expect(accepted).toBeLessThan(runs * 0.75)
    expect(process.cpuUsage(started).user / runs).toBeLessThan(20_000)
    gate.close()
  })
})
