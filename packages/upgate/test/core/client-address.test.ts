import { describe, expect, it } from 'vitest'
import { makeGate, request } from './fixtures.ts'

async function client(peerAddress: string, forwarded?: string, trustedProxies?: string[]): Promise<string> {
  const gate = makeGate(trustedProxies === undefined ? {} : { trustedProxies })
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  const { steps } = await gate.explain(request('/x', { peerAddress, headers }))
  return steps.find(({ step }) => step === 'client')?.detail.replace(/:? ?counts.*/, '') ?? ''
}

describe('the client address', () => {
  it.each<[string, string | undefined, string[] | undefined, string]>([
    ['203.0.113.7', undefined, undefined, '203.0.113.7'],
    ['203.0.113.7', '198.51.100.1', undefined, '203.0.113.7'],
    ['::ffff:203.0.113.7', undefined, undefined, '203.0.113.7'],
    ['2001:DB8:0:0::1', undefined, undefined, '2001:db8::1'],
    ['127.0.0.1', undefined, undefined, 'unknown'],
    ['::1', undefined, undefined, 'unknown'],
    ['::ffff:127.0.0.1', undefined, undefined, 'unknown'],
    ['127.0.0.1', '198.51.100.1', undefined, 'unknown'],
    ['127.0.0.1', '198.51.100.1', ['loopback'], '198.51.100.1'],
    ['::ffff:127.0.0.1', '::ffff:198.51.100.1', ['loopback'], '198.51.100.1'],
    ['127.0.0.1', undefined, ['loopback'], 'unknown'],
    ['127.0.0.1', 'spoofed, 198.51.100.1', ['loopback'], '198.51.100.1'],
    ['127.0.0.1', '127.0.0.1, 198.51.100.1', ['loopback'], '198.51.100.1'],
    ['127.0.0.1', '198.51.100.1, 10.0.0.9', ['loopback', '10.0.0.0/8'], '198.51.100.1'],
    ['127.0.0.1', '198.51.100.1, 10.0.0.9', ['loopback'], '10.0.0.9'],
    ['127.0.0.1', '198.51.100.1, garbage', ['loopback'], 'unknown'],
    ['127.0.0.1', '127.evil.example', ['loopback'], 'unknown'],
    ['127.0.0.1', '1', ['loopback'], 'unknown'],
    ['127.0.0.1', '198.51.100.1:4711', ['loopback'], '198.51.100.1'],
    ['127.0.0.1', '[2001:db8::1]:4711', ['loopback'], '2001:db8::1'],
    ['127.0.0.1', '', ['loopback'], 'unknown'],
    ['127.0.0.1', ',', ['loopback'], 'unknown'],
    ['127.0.0.1', ',198.51.100.1', ['loopback'], '198.51.100.1'],
    ['127.0.0.1', '198.51.100.1,', ['loopback'], 'unknown'],
    ['127.0.0.1', `198.51.100.1${', 127.0.0.1'.repeat(31)}`, ['loopback'], '198.51.100.1'],
    ['127.0.0.1', `198.51.100.1${', 127.0.0.1'.repeat(32)}`, ['loopback'], 'unknown'],
    ['127.0.0.1', '0000:0000:0000:0000:0000:ffff:198.151.100.101', ['loopback'], '198.151.100.101'],
    ['203.0.113.7', '198.51.100.1', ['loopback'], '203.0.113.7'],
    ['127.0.0.1', '198.51.100.1', ['10.0.0.1'], 'unknown'],
    ['192.168.1.1', '198.51.100.1', ['private'], '198.51.100.1'],
  ])('of peer %s with X-Forwarded-For %s behind %j is %s', async (peer, forwarded, proxies, expected) => {
    expect(await client(peer, forwarded, proxies)).toBe(expected)
  })

  it('takes no alias of the header', async () => {
    const gate = makeGate({ trustedProxies: ['loopback'] })
    const { steps } = await gate.explain(
      request('/x', {
        peerAddress: '127.0.0.1',
        headers: { x_forwarded_for: '198.51.100.1', 'x-real-ip': '198.51.100.1' },
      }),
    )
    expect(steps.find(({ step }) => step === 'client')?.detail).toContain('unknown')
  })

  /* At every local start the operator was warned of a proxy that was not there. */
  it('warns of clients behind loopback once a header of a proxy or tunnel is seen, and names it', async () => {
    const warnings: string[] = []
    const logger = { warn: (message: string) => void warnings.push(message), error() {} }
    for (const name of [
      'x-forwarded-for',
      'forwarded',
      'x-real-ip',
      'cf-connecting-ip',
      'tailscale-headers-info',
      'via',
    ]) {
      warnings.length = 0
      const gate = makeGate({ logger })
      for (const peerAddress of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
        expect(gate.clientAddressOf(request('/x', { peerAddress }))).toBeUndefined()
      }
      gate.clientAddressOf(request('/x', { peerAddress: '203.0.113.7', headers: { [name]: '198.51.100.1' } }))
      expect(warnings).toEqual([])
      for (let i = 0; i < 3; i++) {
        const asked = request('/x', { peerAddress: '127.0.0.1', headers: { [name]: '198.51.100.1' } })
        expect(gate.clientAddressOf(asked), 'it proves nothing').toBeUndefined()
      }
      expect(warnings).toEqual([
        expect.stringMatching(
          new RegExp(`^Requests arrive from loopback with \`${name}\`, and no proxy .*\`trustedProxies\``),
        ),
      ])
    }
  })

  it.each<[string, string, string | undefined, string[], string]>([
    // The edge alone, and behind a proxy of ours.
    ['162.158.1.1', '198.51.100.1', '198.51.100.1', ['cloudflare'], '198.51.100.1'],
    ['2400:cb00::1', '2001:db8::7', '2001:db8::7', ['cloudflare'], '2001:db8::7'],
    ['162.158.1.1', 'spoofed, 198.51.100.1', undefined, ['cloudflare'], '198.51.100.1'],
    // The zone is nothing that limits may count by: each would be a client of its own.
    ['162.158.1.1', '::ffff:198.51.100.1%eth0', undefined, ['cloudflare'], '198.51.100.1'],
    ['127.0.0.1', '198.51.100.1, 162.158.1.1', undefined, ['loopback', 'cloudflare'], '198.51.100.1'],
    ['162.158.1.1', '[2001:db8::7]:4711', undefined, ['cloudflare'], '2001:db8::7'],
    // Clients of WARP and Workers have addresses of the edge: they must not choose the counted address.
    ['162.158.1.1', '203.0.113.9, 104.28.3.4', '104.28.3.4', ['cloudflare'], '104.28.3.4'],
    ['162.158.1.1', '203.0.113.9, 2a06:98c0:3600::103', undefined, ['cloudflare'], '2a06:98c0:3600::103'],
    ['127.0.0.1', '203.0.113.9, 104.28.3.4', '104.28.3.4', ['loopback', 'cloudflare'], '104.28.3.4'],
    [
      '127.0.0.1',
      '203.0.113.9, 104.28.3.4, 162.158.1.1',
      undefined,
      ['loopback', 'cloudflare'],
      '104.28.3.4',
    ],
    // No proxy: its headers change nothing.
    ['203.0.113.7', '198.51.100.1', '198.51.100.1', ['cloudflare'], '203.0.113.7'],
    ['203.0.113.7', '198.51.100.1, 162.158.1.1', '162.158.1.1', ['loopback', 'cloudflare'], '203.0.113.7'],
    ['127.0.0.1', '198.51.100.1', '198.51.100.1', ['cloudflare'], 'unknown'],
    ['162.158.1.1', 'garbage', '198.51.100.1', ['cloudflare'], 'unknown'],
    ['162.158.1.1', '127.0.0.1', undefined, ['cloudflare'], 'unknown'],
  ])(
    'of peer %s with X-Forwarded-For %s and CF-Connecting-IP %s behind %j is %s',
    async (peerAddress, forwarded, connecting, trustedProxies, expected) => {
      const gate = makeGate({ trustedProxies })
      const headers = {
        'x-forwarded-for': forwarded,
        ...(connecting === undefined ? {} : { 'cf-connecting-ip': connecting }),
      }
      expect(gate.clientAddressOf(request('/x', { peerAddress, headers })) ?? 'unknown').toBe(expected)
    },
  )

  it('takes a newer list of the ranges of Cloudflare', () => {
    const gate = makeGate({ trustedProxies: ['cloudflare'], cloudflareRanges: ['198.18.0.0/15'] })
    const of = (peerAddress: string): string | undefined =>
      gate.clientAddressOf(request('/x', { peerAddress, headers: { 'x-forwarded-for': '198.51.100.1' } }))
    expect(of('198.18.4.4')).toBe('198.51.100.1')
    expect(of('162.158.1.1')).toBe('162.158.1.1')
  })
})
