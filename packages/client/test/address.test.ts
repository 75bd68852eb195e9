import { lookup as systemLookup } from 'node:dns'
import { Agent } from 'node:http'
import { type LookupFunction, connect as tcpConnect } from 'node:net'
import { allowedLookup, type ConnectOptions, connect, isPublicAddress, wsTransport } from '@upgate/client'
import { describe, expect, test } from 'vitest'
import { cleanUp, failureOf, kept, tcpServer } from './helpers.ts'

cleanUp()

/* A URL that a user gives a server must not lead it to addresses inside its own network. */

describe('public addresses', () => {
  test.each([
    ['this network', ['0.0.0.0', '0.1.2.3']],
    ['loopback', ['127.0.0.1', '127.255.255.254', '::1']],
    ['private', ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.255.1', 'fc00::1', 'fdff::1']],
    ['shared', ['100.64.0.1', '100.127.255.255']],
    ['link-local, with the metadata of clouds', ['169.254.169.254', 'fe80::1', 'febf::1', 'fe80::1%eth0']],
    ['site-local', ['fec0::1', 'feff::1']],
    ['protocol assignments', ['192.0.0.1', '192.0.0.170', '192.88.99.1', '2001:1ff::1']],
    ['documentation', ['192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1']],
    ['benchmarks', ['198.18.0.1', '198.19.255.255', '2001:2::1']],
    ['multicast', ['224.0.0.1', '239.255.255.250', 'ff02::1']],
    ['reserved', ['240.0.0.1', '255.255.255.255', '::', '100::1', '5f00::1', '4000::1']],
    ['mapped', ['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1', '::ffff:0:127.0.0.1']],
    ['IPv4-compatible', ['::127.0.0.1', '::7f00:1', '::8.8.8.8']],
    ['NAT64', ['64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '64:ff9b:0:1::808:808']],
    ['6to4 and Teredo', ['2002:7f00:1::', '2002:808:808::1', '2001::1']],
    ['no addresses', ['', 'localhost', '1.2.3', '0x7f.1', '2130706433', '8.8.8.8.', '[::1]', '8.8.8.8/32']],
  ])('%s are not public', (_, addresses) => {
    expect(addresses.filter(isPublicAddress)).toEqual([])
  })

  test('the others are', () => {
    const addresses = [
      '1.1.1.1',
      '8.8.8.8',
      '11.0.0.1',
      '100.63.255.255',
      '100.128.0.1',
      '172.15.255.255',
      '172.32.0.1',
      '192.0.1.1',
      '198.17.255.255',
      '198.20.0.1',
      '223.255.255.255',
      '2606:4700::1111',
      '2a00:1450:4001::1',
      '::ffff:8.8.8.8',
      '64:ff9b::8.8.8.8',
    ]
    expect(addresses.filter((address) => !isPublicAddress(address))).toEqual([])
  })
})

describe('allowedLookup', () => {
  const found =
    (...addresses: readonly string[]): LookupFunction =>
    (_, __, callback) =>
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      )
  const ask = (lookup: LookupFunction, all: boolean): Promise<unknown[]> =>
    new Promise((resolve) => lookup('name.example', { all }, (...answer) => resolve(answer)))

  test('keeps the allowed ones of several addresses, and fails without any', async () => {
    const mixed = allowedLookup(isPublicAddress, found('10.0.0.1', '8.8.8.8', '::1'))
    expect(await ask(mixed, true)).toEqual([null, [{ address: '8.8.8.8', family: 4 }]])
    expect(await ask(mixed, false)).toEqual([null, '8.8.8.8', 4])
    const [error] = await ask(allowedLookup(isPublicAddress, found('10.0.0.1', '::1')), true)
    expect(error).toMatchObject({ code: 'address_not_allowed' })
    // A refusal that lists them would tell what names inside lead to.
    expect(String(error)).not.toContain('10.0.0.1')
  })

  test('passes the failure of the resolver on, and takes resolvers that answer with one address', async () => {
    const failing: LookupFunction = (_, __, callback) =>
      callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), '', 0)
    expect(await ask(allowedLookup(isPublicAddress, failing), true)).toMatchObject([
      { code: 'ENOTFOUND' },
      '',
      0,
    ])
    const single: LookupFunction = (_, __, callback) => callback(null, '127.0.0.1', 4)
    expect(await ask(allowedLookup(isPublicAddress, single), false)).toMatchObject([
      { code: 'address_not_allowed' },
      '',
      0,
    ])
  })
})

describe('connect with `allowAddress`', () => {
  const once: ConnectOptions = { reconnect: false, timeout: 60_000 }
  const guarded = wsTransport({ allowAddress: isPublicAddress })

  /** The code of the failure, and how many connections the port has seen. */
  async function tryAt(
    host: string,
    transport = guarded,
    scheme = 'ws',
  ): Promise<{ code: string; connections: number }> {
    let connections = 0
    const port = await tcpServer(() => {
      connections += 1
    })
    const { code } = await failureOf(connect(`${scheme}://${host}:${port}/ws`, { ...once, transport }))
    return { code, connections }
  }

  test.each([
    '127.0.0.1',
    '127.1',
    '0x7f000001',
    '2130706433',
    '0177.0.0.1',
    '127.0.0.1.',
    '%31%32%37.0.0.1',
    '１２７.0.0.1',
    '0',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[0:0:0:0:0:ffff:7f00:1]',
    'localhost',
    'LOCALHOST',
  ])('%s is refused, and nothing connects', async (host) => {
    expect(await tryAt(host)).toEqual({ code: 'address_not_allowed', connections: 0 })
    expect(await tryAt(host, guarded, 'wss')).toEqual({ code: 'address_not_allowed', connections: 0 })
  })

  test('a name that leads elsewhere at the second look-up is asked once, and connected to as it was checked', async () => {
    const answers = ['10.0.0.1', '127.0.0.1']
    const asked: string[] = []
    const changing: LookupFunction = (name, _, callback) => {
      asked.push(name)
      callback(null, [{ address: answers.shift() ?? '127.0.0.1', family: 4 }])
    }
    const transport = wsTransport({ allowAddress: (address) => address !== '10.0.0.1', lookup: changing })
    expect(await tryAt('name.example', transport)).toEqual({ code: 'address_not_allowed', connections: 0 })
    expect(asked).toEqual(['name.example'])
  })

  test('of two addresses, the one inside gets no connection', async () => {
    let connections = 0
    const port = await tcpServer(() => {
      connections += 1
    })
    const lookup: LookupFunction = (_, __, callback) =>
      callback(null, [
        { address: '127.0.0.1', family: 4 },
        // The server does not listen there.
        { address: '127.0.0.3', family: 4 },
      ])
    const transport = wsTransport({ allowAddress: (address) => address !== '127.0.0.1', lookup })
    const error = await failureOf(connect(`ws://name.example:${port}/ws`, { ...once, transport }))
    expect(error.code).toBe('tcp_refused')
    expect(connections).toBe(0)
  })

  test('the second look at a failure is guarded, too', async () => {
    // The first connection goes to an allowed address and ends at once, which asks whether the port speaks TLS.
    const answers = ['127.0.0.1', '127.0.0.2']
    const seen: string[] = []
    const port = await tcpServer((socket) => {
      seen.push(socket.localAddress ?? '')
      socket.destroy()
    })
    const changing: LookupFunction = (_, __, callback) =>
      callback(null, [{ address: answers.shift() ?? '127.0.0.2', family: 4 }])
    const transport = wsTransport({ allowAddress: (address) => address === '127.0.0.1', lookup: changing })
    await failureOf(connect(`ws://name.example:${port}/ws`, { ...once, transport }))
    expect(answers).toEqual([])
    expect(seen).toEqual(['127.0.0.1'])
    expect(
      await transport.probe?.({
        url: `ws://127.0.0.2:${port}/ws`,
        headers: {},
        code: 'http_closed',
        timeout: 60_000,
      }),
    ).toBeUndefined()
    expect(seen).toEqual(['127.0.0.1'])
  })

  test('an allowed address works as without the option', async () => {
    let connections = 0
    const port = await tcpServer(() => {
      connections += 1
    })
    const transport = wsTransport({
      allowAddress: (address) => address === '127.0.0.1',
      lookup: systemLookup,
    })
    kept(connect(`ws://127.0.0.1:${port}/ws`, { ...once, transport }))
    await new Promise((resolve) => tcpConnect(port, '127.0.0.1').once('connect', resolve))
    await expect.poll(() => connections).toBeGreaterThan(1)
  })

  test('wrong options are named', () => {
    expect(() => wsTransport({ allowAddress: true as never })).toThrow(
      new TypeError('wsTransport: `allowAddress` must be a function, such as isPublicAddress.'),
    )
    expect(() => wsTransport({ allowAddress: isPublicAddress, agent: new Agent() })).toThrow(
      /`allowAddress` and `agent` do not go together/,
    )
  })
})
