import {
  type ConnectOptions,
  connect,
  connectHandshake,
  deviceKey,
  headerHandshake,
  subprotocolHandshake,
  type Transport,
  ticketHandshake,
} from '@upgate/client'
import { describe, expect, test } from 'vitest'
import { cleanUp, failureOf, kept } from './helpers.ts'
import { memoryTransport, turns } from './memory.ts'

cleanUp()

/* What goes over ws:// to another computer, where others can read it. */

const lan = 'ws://192.168.1.10:8787/ws'
const token = 'ugd_token-of-the-test'
const closed: Transport = {
  sendsHeaders: true,
  open: () => {
    throw new Error('A socket was opened.')
  },
}
const refusalAt = async (url: string, options: ConnectOptions): Promise<readonly string[]> => {
  const { code, diagnosis } = await failureOf(connect(url, { transport: closed, ...options }))
  const said = diagnosis.evidence.find(({ name }) => name === 'error')?.value ?? ''
  return [code, diagnosis.retry, said]
}

describe('a credential is not sent over a URL without TLS to another computer', () => {
  test.each<[string, ConnectOptions, string]>([
    ['Authorization', { headers: { Authorization: `Bearer ${token}` } }, 'the header authorization'],
    ['Cookie', { headers: { COOKIE: `session=${token}` } }, 'the header cookie'],
    [
      'a header of the gate’s own',
      { headers: { Accept: '*/*', 'X-Hub-Token': token } },
      'the header x-hub-token',
    ],
    ['a token in the first frame', { credential: token }, 'the credential'],
    ['a token of a function', { credential: async () => ({ token }) }, 'the credential'],
    ['a password', { credential: { password: 'hunter22' }, handshake: connectHandshake() }, 'the credential'],
    ['a pairing code', { credential: { device: deviceKey(), code: 'ABCD-1234' } }, 'the credential'],
    ['a claim', { credential: { claim: 'c'.repeat(43) } }, 'the credential'],
    ['a token for a header', { credential: token, handshake: headerHandshake() }, 'the credential'],
    ['a token for a subprotocol', { credential: token, handshake: subprotocolHandshake() }, 'the credential'],
    [
      'a ticket that a page fetched by its cookies',
      {
        handshake: ticketHandshake({
          fetch: async () => Response.json({ ticket: 'ugt_secret-of-the-ticket' }),
        }),
      },
      'what the handshake adds to the upgrade',
    ],
    [
      'a header that a handshake adds by itself',
      {
        handshake: { name: 'own', kindOf: () => 'bearer', upgrade: () => ({ headers: { 'X-Key': token } }) },
      },
      'what the handshake adds to the upgrade',
    ],
  ])('%s', async (_name, options, what) => {
    expect(await refusalAt(lan, options)).toEqual(['credential_over_plain', 'never', `Not sent: ${what}.`])
  })

  test.each([
    'ws://127.evil.example/',
    'http://10.0.0.1/',
    'ws://127.0.0.1.evil.example/',
    'ws://localhost.evil.example/',
    'ws://[::2]/',
    'ws://[::ffff:10.0.0.1]/',
    'ws://0.0.0.0/',
  ])('%s', async (url) => {
    expect((await refusalAt(url, { credential: token }))[0]).toBe('credential_over_plain')
  })

  test('the refusal names the remedy and no value', async () => {
    const error = await failureOf(
      connect(lan, { transport: closed, headers: { Cookie: `session=${token}` } }),
    )
    expect(error.message).toBe(
      'The credential was not sent, because the URL is not encrypted (client, credential_over_plain). Use `wss://`. On a private network whose gateway has no TLS, prove a device key, which is not sent; or accept the risk with the option `dangerouslySendCredentialsOverPlain`.',
    )
    expect(JSON.stringify(error) + error.stack).not.toContain(token)
  })

  test('a function for the credential is not asked if the headers are refused already', async () => {
    let asked = 0
    const credential = (): string => `${token}${asked++}`
    await refusalAt(lan, { credential, headers: { Cookie: 'a=b' } })
    expect(asked).toBe(0)
  })
})

test('a device key alone goes over it: only a signature is sent; its renewal by a token does not', async () => {
  const transport = memoryTransport()
  const device = deviceKey()
  const connection = kept(
    connect(lan, {
      transport,
      credential: ({ reason }) => (reason === 'renewal' ? token : { device }),
      headers: { 'User-Agent': 'hub/1', Origin: 'http://192.168.1.10:8787' },
    }),
  )
  const failures: unknown[] = []
  connection.on('renewal_failed', (failure) => failures.push(failure))
  await turns()
  const [socket] = transport.sockets
  await socket?.accept()
  expect(connection.state.name).toBe('accepted')
  socket?.events.message('{"type":"auth_expiring","expiresAt":1,"time":0}')
  await turns()
  expect(failures).toEqual([{ code: 'credential_over_plain', message: 'Not sent: the renewed credential.' }])
  expect(JSON.stringify(socket?.sent)).not.toContain(token)
})

describe('dangerouslySendCredentialsOverPlain', () => {
  const accepting = { dangerouslySendCredentialsOverPlain: true } as const

  test('sends the gate’s credentials', async () => {
    const transport = memoryTransport()
    kept(
      connect(lan, { ...accepting, transport, credential: token, headers: { Cookie: 'session=abcdefgh' } }),
    )
    await turns()
    expect(transport.sockets[0]?.request.headers).toEqual({ cookie: 'session=abcdefgh' })
  })

  test.each<[string, ConnectOptions]>([
    ['edge', { edge: { clientId: 'id.access', clientSecret: 'f'.repeat(64) } }],
    ['edge as a function', { edge: () => ({ clientId: 'id.access', clientSecret: 'f'.repeat(64) }) }],
    [
      'both headers',
      { headers: { 'CF-Access-Client-Id': 'id.access', 'CF-Access-Client-Secret': 'f'.repeat(64) } },
    ],
    ['one header', { headers: { Authorization: '{"cf-access-client-id":"id.access"}' } }],
    ['a user’s token', { headers: { 'Cf-Access-Token': 'eyJ' } }],
    ['a user’s cookie', { headers: { Cookie: 'theme=dark; CF_Authorization=eyJ' } }],
  ])('does not send secrets of an edge: %s', async (_name, options) => {
    expect((await refusalAt(lan, { ...accepting, ...options })).slice(0, 2)).toEqual([
      'edge_secret_over_plain',
      'never',
    ])
  })
})
