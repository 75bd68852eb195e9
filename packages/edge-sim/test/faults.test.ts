import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import type { EdgeSim, Fault } from '@upgate/edge-sim'
import { describe, expect, test } from 'vitest'
import { cleanUp, manualClock, startOrigin, startSim } from './helpers.ts'

cleanUp()

const APP = 'https://app.example.com'
const JSON_CLIENT = { accept: 'application/json' }

function get(
  sim: EdgeSim,
  url = `${APP}/`,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Response> {
  return sim.fetch(url, { headers, method, redirect: 'manual' })
}

describe('errors of the edge', () => {
  const cases: readonly [Fault, number, number, string, string | null][] = [
    [{ kind: 'rate-limit', retryAfter: 7 }, 429, 1015, 'rate_limited', '7'],
    [{ kind: 'browser-signature' }, 403, 1010, 'browser_signature_banned', null],
    [{ kind: 'waf' }, 403, 1020, 'firewall_rule_blocked', null],
    [{ kind: 'tunnel-down' }, 530, 1033, 'tunnel_error', '60'],
    [{ kind: 'origin-dns' }, 530, 1016, 'origin_dns_error', '120'],
    [{ kind: 'bad-gateway' }, 502, 502, 'bad_gateway', '30'],
    [{ kind: 'origin-timeout' }, 524, 524, 'origin_timeout', '60'],
    [{ kind: 'origin-error', status: 522 }, 522, 522, 'origin_error', null],
    [{ kind: 'worker-crash' }, 500, 1101, 'worker_exception', null],
    [{ kind: 'worker-limits' }, 503, 1102, 'worker_limits', null],
  ]

  test.each(cases)(
    '%j: JSON with its code for JSON clients, a branded page for others',
    async (fault, status, code, name, retryAfter) => {
      const origin = await startOrigin()
      const sim = await startSim({ upstream: origin.url })
      const { headers } = sim.addServiceToken({ name: 'ci' })
      const off = sim.inject(fault)
      const data = await get(sim, APP, { ...headers, ...JSON_CLIENT })
      expect([data.status, data.headers.get('retry-after'), data.headers.get('cf-ray')]).toEqual([
        status,
        retryAfter,
        expect.any(String),
      ])
      expect(await data.json()).toEqual({
        title: expect.stringMatching(`^Error ${code}: `),
        status,
        error_code: code,
        error_name: name,
        cloudflare_error: true,
        retryable: retryAfter !== null,
      })
      const page = await get(sim, APP, headers)
      expect([page.status, page.headers.get('content-type')]).toEqual([status, 'text/html; charset=UTF-8'])
      expect(await page.text()).toMatch(new RegExp(`error code: ${code}.*by Cloudflare`))
      expect(origin.seen).toHaveLength(0)
      off()
      expect((await get(sim, APP, headers)).status).toBe(200)
    },
  )

  test('a WAF block without a code is known by its brand only', async () => {
    const sim = await startSim()
    sim.inject({ kind: 'waf-unmarked' })
    const response = await get(sim, APP, JSON_CLIENT)
    expect([response.status, response.headers.get('cf-mitigated')]).toEqual([403, null])
    expect(await response.text()).toContain('<title>Attention Required! | Cloudflare</title>')
  })

  test('the bot challenge: by user agent, by address, for a valid service token too', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const { headers } = sim.addServiceToken({ name: 'ci' })
    sim.inject({ kind: 'challenge', when: { userAgents: ['python', ''] } })
    sim.inject({ kind: 'challenge', status: 503, when: { addresses: ['198.51.100.9'] } })
    const response = await get(sim, APP, { ...headers, 'user-agent': 'Python/3.12 aiohttp/3.11.18' })
    expect([response.status, response.headers.get('cf-mitigated')]).toEqual([403, 'challenge'])
    expect(await response.text()).toContain('<title>Just a moment...</title>')
    expect((await get(sim, APP, { ...headers, 'user-agent': '' })).status).toBe(403)
    expect((await get(sim, APP, { ...headers, 'edge-sim-client-ip': '198.51.100.9' })).status).toBe(503)
    expect((await get(sim, APP, headers)).status).toBe(200)
  })

  test('only POSTs to the token endpoint are swallowed; the steps of the browser pass', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url, hosts: ['auth.example.com'] })
    sim.inject({
      kind: 'challenge',
      when: { hosts: ['auth.example.com'], paths: ['/oauth/token'], methods: ['POST'] },
    })
    const at = 'https://auth.example.com/oauth'
    expect((await get(sim, `${at}/authorize`)).status).toBe(200)
    expect((await get(sim, `${at}/token`, {}, 'OPTIONS')).status).toBe(200)
    expect((await get(sim, `${at}/tokens`, {}, 'POST')).status).toBe(200)
    expect((await get(sim, `${at}/token`, {}, 'POST')).headers.get('cf-mitigated')).toBe('challenge')
  })

  test('the order is errors, challenge, Access, origin', async () => {
    const sim = await startSim()
    const { headers } = sim.addServiceToken({ name: 'ci' })
    const remove = [
      sim.inject({ kind: 'tunnel-down' }),
      sim.inject({ kind: 'challenge' }),
      sim.inject({ kind: 'rate-limit' }),
    ]
    const status = async (): Promise<number[]> => [
      (await get(sim, APP)).status,
      (await get(sim, APP, headers)).status,
    ]
    expect(await status()).toEqual([429, 429])
    remove[2]?.()
    expect(await status()).toEqual([403, 403])
    remove[1]?.()
    expect(await status()).toEqual([302, 530])
    sim.clearFaults()
    expect(await status()).toEqual([302, 530])
  })

  test('a fault may end after a number of hits, and may hit upgrades or plain HTTP alone', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'] })
    const open = 'https://open.example.com/'
    sim.inject({ kind: 'bad-gateway', times: 2 })
    expect([
      (await get(sim, open)).status,
      (await get(sim, open)).status,
      (await get(sim, open)).status,
    ]).toEqual([502, 502, 200])
    sim.inject({ kind: 'bad-gateway', when: { upgrade: true } })
    expect((await get(sim, open)).status).toBe(200)
    sim.inject({ kind: 'bad-gateway', when: { upgrade: false } })
    expect((await get(sim, open)).status).toBe(502)
  })
})

describe('trouble with the origin', () => {
  async function responseOf(sim: EdgeSim): Promise<IncomingMessage> {
    const to = sim.to('https://open.example.com/')
    const [response] = (await once(request(to.url, { headers: to.headers }).end(), 'response')) as [
      IncomingMessage,
    ]
    return response
  }

  test('nothing listens: 502; no origin at all: 530 with 1016', async () => {
    const origin = await startOrigin()
    await origin.close()
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'] })
    expect((await get(sim, 'https://open.example.com/')).status).toBe(502)
    const bare = await startSim({ hosts: ['open.example.com'] })
    const response = await get(bare, 'https://open.example.com/', JSON_CLIENT)
    expect([response.status, await response.json()]).toMatchObject([530, { error_code: 1016 }])
  })

  test('100 s without a byte: 524 before the headers, a cut after them', async () => {
    const clock = manualClock()
    let arrived: (() => void) | undefined
    const origin = await startOrigin((req, res) => {
      if (req.url === '/partly') {
        res.writeHead(200)
        res.write('some')
      }
      arrived?.()
      return true
    })
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'], clock })
    const waiting = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const pending = get(sim, 'https://open.example.com/', JSON_CLIENT)
    await waiting
    clock.advance(100_000)
    expect((await pending).status).toBe(524)
    expect(sim.log.at(-1)).toMatchObject({ status: 524, outcome: 'ungated' })
    const partly = await get(sim, 'https://open.example.com/partly')
    const body = partly.body?.getReader()
    expect(Buffer.from((await body?.read())?.value ?? []).toString()).toBe('some')
    clock.advance(100_000)
    await expect(body?.read()).rejects.toThrow()
  })

  test('a mid-stream reset: so many bytes arrive, then the connection breaks', async () => {
    const origin = await startOrigin((_, res) => {
      res.writeHead(200)
      res.write('0123456789')
      return true
    })
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'] })
    sim.inject({ kind: 'reset', afterBytes: 4 })
    const response = await responseOf(sim)
    let text = ''
    response.on('data', (part: Buffer) => {
      text += part.toString()
    })
    const [error] = (await once(response, 'error')) as [NodeJS.ErrnoException]
    expect([text, error.code]).toEqual(['0123', 'ECONNRESET'])
  })

  test('an answer that the origin breaks off is broken for the client too, never merely shorter', async () => {
    const origin = await startOrigin((req, res) => {
      res.writeHead(200)
      res.write('half', () => req.socket.destroy())
      return true
    })
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'] })
    const response = await responseOf(sim)
    response.resume()
    await once(response, 'error')
    expect(response.complete).toBe(false)
  })

  test.each([
    [
      'switches protocols unasked',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    ],
    ['answers with no status that there is', 'HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['speaks no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n'],
    ['hangs up', ''],
  ])('an origin that %s is 502', async (_, answer) => {
    const origin = await startOrigin((req) => {
      req.socket.end(answer)
      return true
    })
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'] })
    expect((await get(sim, 'https://open.example.com/')).status).toBe(502)
  })
})
