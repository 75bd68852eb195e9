import { once } from 'node:events'
import { request } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { type ClientHandshake, connectHandshake, deviceKey, headerHandshake } from '@upgate/client'
import type { DiagnosisCode } from '@upgate/diagnosis'
import { WebSocket } from 'ws'
import { brokenToken, sharedSecret, startGate } from '../gate.ts'
import type { Situation, Started } from '../situation.ts'
import { at, type Stage, strangersToken } from '../stage.ts'

type Gate = Awaited<ReturnType<typeof startGate>>

/** A gate that refuses this token on this path. */
const refused = (
  name: string,
  code: DiagnosisCode,
  path: string,
  tokenOf?: (gate: Gate) => string | Promise<string>,
  handshake?: ClientHandshake,
): Situation => ({
  number: 54,
  name,
  code,
  async start(stage) {
    const gate = await startGate(stage)
    const url = `${gate.url}${path}`
    if (tokenOf === undefined) return { url }
    return sending(url, await tokenOf(gate), handshake)
  },
})
const sending = (url: string, token: string, handshake?: ClientHandshake): Started => ({
  url,
  client: { credential: token, ...(handshake !== undefined && { handshake }) },
  doctor: { token },
})
const device = async ({ services }: Gate): Promise<string> =>
  (await services.devices.create({ name: 'printer', role: 'node', scopes: ['node.read'] })).token
const admin = { kind: 'user', id: 'admin', scopes: ['operator.admin'], roles: [] } as never
const noKeys = { doctor: 'It sends no device key and creates no pairing request.' }

async function invited(stage: Stage): Promise<Gate & { code: string }> {
  const gate = await startGate(stage)
  const made = await gate.services.pairing.bootstrap.create({ actor: admin, role: 'node', scopes: [] })
  if (made.outcome !== 'done') throw new Error(made.code)
  return { ...gate, code: made.code }
}

/** A gate behind a proxy that names the client's address: without one, the limits of an address do not apply. */
async function behindProxy(stage: Stage, guard: object): Promise<string> {
  const { port } = await startGate(stage, { gate: { trustedProxies: ['loopback'] }, guard })
  const proxy = await stage.tcp((socket) => {
    const there = connectTcp(port, '127.0.0.1')
    stage.later(() => there.destroy())
    for (const [one, other] of [
      [socket, there],
      [there, socket],
    ] as const) {
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
    socket.once('data', (head) => {
      there.write(String(head).replace('\r\n', '\r\nX-Forwarded-For: 203.0.113.7\r\n'))
      socket.pipe(there)
    })
    there.pipe(socket)
  })
  return at(proxy)
}

export const gate: readonly Situation[] = [
  {
    number: 53,
    name: 'a page of another origin',
    code: 'origin_refused',
    async start(stage) {
      const { url } = await startGate(stage)
      const origin = 'https://evil.example'
      return {
        url: `${url}/ws`,
        client: { headers: { Origin: origin } },
        doctor: { origin },
      }
    },
  },
  refused('no credential on a path that wants one', 'auth_required', '/admin'),
  refused('a token of another gate', 'invalid_credential', '/ws', () => strangersToken),
  refused('a token that has expired', 'expired_credential', '/ws', async ({ services, pass }) => {
    const { token } = await services.devices.create({ name: 'old', expiresAt: Date.now() + 600_000 })
    pass(600_000)
    return token
  }),
  refused('a token that was revoked', 'revoked_credential', '/ws', async ({ services }) => {
    const { id, token } = await services.devices.create({ name: 'lost' })
    await services.devices.revoke(id)
    return token
  }),
  refused('a key of an account that is disabled', 'account_disabled', '/ws', async ({ services }) => {
    const made = await services.accounts.create({ email: 'a@example.com' })
    if (made.outcome !== 'done') throw new Error(made.code)
    const { token } = await services.keys.create({ name: 'key', accountId: made.account.id })
    await services.accounts.disable(made.account.id)
    return token
  }),
  refused('a device on a path for users', 'kind_not_allowed', '/users', device),
  refused(
    'a device token where another scheme is demanded',
    'scheme_not_allowed',
    '/shared',
    device,
    headerHandshake(),
  ),
  refused('a token without a scope that the path wants', 'insufficient_scope', '/scoped', device),
  refused('a token without a role that the path wants', 'role_required', '/roles', device),
  refused('a verifier that is away', 'unavailable', '/ws', () => brokenToken),
  refused('a path that can be read in two ways', 'ambiguous_target', '/lost/..%2fadmin/x'),
  refused('broken encoding in the path', 'malformed_target', '/ws%zz'),
  refused('a path without a WebSocket', 'unknown_path', '/lost', () => sharedSecret, headerHandshake()),
  {
    number: 54,
    name: 'a full gate',
    code: 'over_capacity',
    async start(stage) {
      const { url } = await startGate(stage, { guard: { maxSockets: 1, reservedShare: 1 } })
      return { url: `${url}/ws` }
    },
  },
  {
    number: 54,
    name: 'an address with too many sockets',
    code: 'too_many_sockets',
    async start(stage) {
      const url = await behindProxy(stage, { maxSocketsPerAddress: 1 })
      const waiting = new WebSocket(url)
      stage.later(() => waiting.terminate())
      await once(waiting, 'open')
      return { url }
    },
  },
  {
    number: 54,
    name: 'an address that guesses codes',
    code: 'too_many_failures',
    async start(stage) {
      const url = await behindProxy(stage, { maxRefusals: 1 })
      const { connect } = await import('@upgate/client')
      for (let tries = 0; tries < 2; tries++) {
        const guess = { device: deviceKey(), code: `AAAA-BBBB-CCC${tries}` }
        const wrong = connect(url, { credential: guess, reconnect: false })
        await wrong.accepted.catch(() => {})
      }
      return { url }
    },
  },
  {
    number: 54,
    name: 'a first frame of another protocol',
    code: 'bad_handshake',
    async start(stage) {
      const gate = await startGate(stage)
      const token = await device(gate)
      const url = `${gate.url}/ws`
      return {
        url,
        client: { credential: token, handshake: connectHandshake() },
        doctor: { token, handshake: 'connect' },
      }
    },
  },
  {
    number: 54,
    name: 'a device token in the upgrade, and another one in the first frame',
    code: 'principal_mismatch',
    without: { doctor: 'It sends one token.' },
    async start(stage) {
      const gate = await startGate(stage)
      const [one, other] = [await device(gate), await device(gate)]
      const headers = { authorization: `Bearer ${one}` }
      return { url: `${gate.url}/scoped`, client: { credential: other, headers }, secrets: [one] }
    },
  },
  {
    number: 43,
    // The gate answers `host_refused`, which it does to HTTP requests only: the Upgrade was lost.
    name: 'an Upgrade that a proxy removed, before a gate that refuses the Host',
    code: 'upgrade_lost',
    async start(stage) {
      const { port } = await startGate(stage)
      const proxy = await stage.http((incoming, response) => {
        const { connection: _, upgrade: __, ...headers } = incoming.headers
        const host = `127.0.0.1:${port}`
        request({ host: '127.0.0.1', port, path: incoming.url, headers: { ...headers, host } }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(response)
        })
          .on('error', () => response.writeHead(502).end())
          .end()
      })
      return { url: `ws://127.0.0.1:${proxy}/admin` }
    },
  },
  {
    number: 43,
    name: 'an Upgrade that a proxy removed, before a gate',
    code: 'upgrade_lost',
    async start(stage) {
      const { port } = await startGate(stage)
      // What nginx does without its two lines: HTTP/1.0, and no header of the hop.
      const proxy = await stage.http((incoming, response) => {
        const { connection: _, upgrade: __, ...headers } = incoming.headers
        request({ host: '127.0.0.1', port, path: incoming.url, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(response)
        })
          .on('error', () => response.writeHead(502).end())
          .end()
      })
      return { url: `ws://127.0.0.1:${proxy}/ws` }
    },
  },
  {
    number: 63,
    name: 'a device that waits for approval',
    code: 'pairing_required',
    without: noKeys,
    async start(stage) {
      const { url, code } = await invited(stage)
      return {
        url: `${url}/ws`,
        client: { credential: { device: deviceKey(), code, name: 'printer' } },
        secrets: [code],
      }
    },
  },
  {
    number: 63,
    name: 'a device that was rejected',
    code: 'pairing_rejected',
    without: noKeys,
    async start(stage) {
      const { url, code, services } = await invited(stage)
      const { connect } = await import('@upgate/client')
      const device = deviceKey()
      const first = connect(`${url}/ws`, { credential: { device, code }, reconnect: false })
      await first.accepted.catch(() => {})
      const [request] = await services.pairing.pending()
      await services.pairing.reject(request?.id ?? '', { actor: admin })
      return { url: `${url}/ws`, client: { credential: { device } }, secrets: [code] }
    },
  },
  {
    number: 72,
    name: 'a clock that is an hour off',
    code: 'clock_skew',
    without: { client: 'It signs the time that the gate names, so that its own clock does not matter.' },
    async start(stage) {
      const { url } = await startGate(stage)
      return { url: `${url}/ws`, doctor: { now: () => Date.now() - 3_600_000 } }
    },
  },
]
