import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { wsTransport } from '@upgate/client'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { allowedAddresses } from '../src/remote/addresses.ts'
import { credentialOf } from '../src/remote/credential.ts'
import { type LinkStep, openLink } from '../src/remote/link.ts'
import { parseRecord } from '../src/remote/records.ts'
import { createVault, VaultError } from '../src/remote/vault.ts'

describe('the vault', () => {
  const place = { record: 'one', url: 'wss://gateway.example.com/ws', field: 'token' }
  const vault = createVault('a key of at least 32 characters...')

  it('opens what it sealed, with another nonce each time', () => {
    const [one, other] = [vault.seal('secret \u00e9', place), vault.seal('secret \u00e9', place)]
    expect(one).not.toBe(other)
    expect([vault.open(one, place), vault.open(other, place)]).toEqual(['secret \u00e9', 'secret \u00e9'])
    expect(one).not.toContain('secret')
  })

  it('opens nothing at another place, with another key, or after a change', () => {
    const sealed = vault.seal('secret', place)
    for (const changed of [
      { ...place, record: 'two' },
      { ...place, field: 'sessionKey' },
      // Otherwise, a change of the URL in the database would send the token elsewhere.
      { ...place, url: 'wss://evil.example/ws' },
    ])
      expect(() => vault.open(sealed, changed)).toThrow(VaultError)
    expect(() => createVault('another key of at least 32 characters').open(sealed, place)).toThrow(VaultError)
    for (const text of [
      '',
      'v1.',
      'v2.AAAA',
      sealed.slice(0, -4),
      `${sealed}AAAA`,
      // Not the last character: some of its bits belong to no byte.
      sealed.replace(/.(?=.{4}$)/, (each) => (each === 'x' ? 'y' : 'x')),
      'v1.AAAA',
    ])
      if (text !== sealed) expect(() => vault.open(text, place), text).toThrow(VaultError)
  })
})

describe('addresses', () => {
  it('are public ones, and those that are allowed', () => {
    const none = allowedAddresses([])
    expect(['8.8.8.8', '2606:4700::1111'].map(none)).toEqual([true, true])
    expect(['127.0.0.1', '10.0.0.1', '::1', 'fe80::1', '64:ff9b::7f00:1', ''].map(none)).toEqual(
      Array(6).fill(false),
    )
    const some = allowedAddresses(['loopback', '10.1.0.0/16', '192.168.1.7', 'fd00::/8'])
    const inside = ['127.0.0.1', '127.9.9.9', '::1', '10.1.2.3', '192.168.1.7', 'fd12::1', '::ffff:10.1.2.3']
    expect(inside.filter((address) => !some(address))).toEqual([])
    const outside = [
      '10.2.0.1',
      '192.168.1.8',
      'fc00::1',
      '169.254.169.254',
      'fe80::1%lo',
      'localhost',
      '0.0.0.0',
      '::',
    ]
    expect(outside.filter(some)).toEqual([])
    expect(allowedAddresses(['private'])('192.168.1.8')).toBe(true)
    // The metadata of clouds has to be allowed by its own address.
    expect(allowedAddresses(['private', 'loopback'])('169.254.169.254')).toBe(false)
  })
})

describe('the credential', () => {
  it.each([
    ['a device token', { token: 'ugd_abc' }, ['token']],
    ['an API key', { token: 'ugk_abc' }, ['token']],
    ['a pairing code', { token: 'abcd-efgh-2345' }, ['device', 'code', 'name']],
    ['a shared token', { token: 'a-shared-token' }, ['device', 'token', 'name']],
    ['nothing', {}, ['device', 'name']],
    ['a pairing', { token: 'ABCDEFGH2345', deviceToken: 'ugd_abc' }, ['device', 'token', 'name']],
  ])('of %s', (_, secrets, fields) => {
    expect(Object.keys(credentialOf(secrets, 'here') as object)).toEqual(fields)
  })
})

it('a stored text that is no record is named as such', () => {
  for (const text of [
    '',
    '{}',
    'null',
    '{"id":1}',
    '{"id":"a","url":"no","setBy":"b","setAt":1,"sealed":{}}',
  ])
    expect(() => parseRecord(text)).toThrow('The stored connection to the other gateway cannot be read.')
})

describe('the link', () => {
  /** A gateway that answers each `connect` request, and the link to it over `ws://` and a name. */
  async function open(answer: object, secrets: object) {
    const frames: Record<string, unknown>[] = []
    const steps: LinkStep[] = []
    const tokens: string[] = []
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    server.on('connection', (socket) => {
      socket.send(
        JSON.stringify({ type: 'event', event: 'connect.challenge', payload: { nonce: 'n', ts: 1 } }),
      )
      socket.on('message', (data) => {
        const frame = JSON.parse(String(data)) as Record<string, unknown>
        frames.push(frame)
        if (frame.method === 'connect') socket.send(JSON.stringify({ type: 'res', id: frame.id, ...answer }))
        if (frame.method === 'connect' && !('payload' in answer)) socket.close(1008)
      })
    })
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const link = openLink({
      url: `ws://gateway.example:${port}/ws`,
      secrets,
      name: 'here',
      transport: wsTransport({
        lookup: (_, __, callback) =>
          setImmediate(() => callback(null, [{ address: '127.0.0.1', family: 4 }])),
      }),
      clock: undefined,
      now: Date.now,
      changed() {},
      stepped: (step) => steps.push(step),
      paired: (token) => tokens.push(token),
    })
    const end = (): void => {
      link.close()
      for (const client of server.clients) client.terminate()
      server.close()
    }
    return { frames, steps, tokens, link, end }
  }

  it('sends the token over plain ws as well, and says which session it follows', async () => {
    const { frames, link, end } = await open(
      { ok: true, payload: { type: 'hello-ok', auth: { role: 'node', scopes: ['a'] } } },
      { token: 'ugd_abc', sessionKey: 'agent:main:main' },
    )
    await expect.poll(() => link.state().state).toBe('connected')
    expect(link.state().granted).toEqual({ role: 'node', scopes: ['a'] })
    await expect.poll(() => frames.length).toBe(2)
    expect(frames).toMatchObject([
      { method: 'connect', params: { role: 'node', auth: { deviceToken: 'ugd_abc' } } },
      {
        method: 'node.event',
        params: { event: 'chat.subscribe', payloadJSON: '{"sessionKey":"agent:main:main"}' },
      },
    ])
    end()
  })

  it('cuts and cleans what a hostile gateway says of the acceptance, and keeps no token that is none', async () => {
    const auth = {
      role: `\u001b[2J\u202e${'r'.repeat(10_000)}`,
      scopes: Array(40).fill(`<b>${'s'.repeat(500)}`),
      deviceToken: `a\r\nb${'t'.repeat(10_000)}`,
    }
    const { link, steps, tokens, end } = await open(
      { ok: true, payload: { auth } },
      { token: 'a-shared-token' },
    )
    await expect.poll(() => link.state().state).toBe('connected')
    const said = JSON.stringify([link.state(), steps])
    expect(said.length).toBeLessThan(4000)
    expect(said).not.toMatch(/[\p{Cc}\p{Cf}]|\\u/u)
    expect(link.state().granted?.scopes).toHaveLength(32)
    expect(tokens).toEqual([])
    end()
  })

  it('waits for approval also where the gateway does not say what to compare', async () => {
    const { link, steps, end } = await open(
      {
        ok: false,
        error: { code: 'NOT_PAIRED', message: 'pairing required', details: { code: 'PAIRING_REQUIRED' } },
      },
      { token: 'a-shared-token' },
    )
    await expect.poll(() => link.state().state).toBe('pairing')
    expect(link.state()).toMatchObject({ pairing: {} })
    expect(link.state().failure).toBeUndefined()
    expect(steps.every(({ step }) => step === 'pairing')).toBe(true)
    end()
  })
})
