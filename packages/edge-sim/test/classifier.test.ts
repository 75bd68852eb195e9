import { once } from 'node:events'
import { type EdgeSim, edgeFetch } from '@upgate/edge-sim'
import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import {
  AUD,
  cleanUp,
  type ManualClock,
  manualClock,
  type Origin,
  startOrigin,
  startSim,
  upgrade,
} from './helpers.ts'

cleanUp()

/*
 * The cases that a client must be able to tell apart. Every row makes the simulator produce the answer observed for
 * one diagnosis, and checks the marks that the diagnosis uses.
 */

const APP = 'https://app.example.com'

/** What a client can observe of one exchange. */
interface Observed {
  readonly status: number
  readonly url: string
  readonly headers: Headers
  readonly body: string
  readonly meta: Record<string, unknown> | undefined
}

interface Scene {
  readonly sim: EdgeSim
  readonly origin: Origin
  readonly clock: ManualClock
  /** Headers of a valid service token that the application admits. */
  readonly token: Record<string, string>
  get(headers?: Record<string, string>, redirect?: NonNullable<RequestInit['redirect']>): Promise<Observed>
}

interface Row {
  readonly observed: string
  readonly diagnosis: string
  run(scene: Scene): Promise<void>
}

function metaOf(headers: Headers): Record<string, unknown> | undefined {
  const location = headers.get('location')
  const meta = location === null ? null : new URL(location).searchParams.get('meta')
  return meta === null ? undefined : decodeJwt(meta)
}

function originMarked({ headers }: Observed): boolean {
  return headers.get('x-origin') === 'here'
}

const rows: readonly Row[] = [
  {
    observed: 'a DNS error',
    diagnosis: 'not an edge verdict',
    async run({ sim }) {
      const fetch = edgeFetch(sim.url)
      await expect(fetch('https://nowhere.example/')).rejects.toThrow('fetch failed')
    },
  },
  {
    observed: 'cf-mitigated: challenge, with a valid service token',
    diagnosis: 'bot challenge, ahead of Access',
    async run({ sim, get, token }) {
      sim.inject({ kind: 'challenge' })
      const { status, headers, body } = await get(token)
      expect([status, headers.get('cf-mitigated')]).toEqual([403, 'challenge'])
      expect(body).toContain('Just a moment...')
    },
  },
  {
    observed: '429 and code 1015',
    diagnosis: 'rate limit',
    async run({ sim, get, token }) {
      sim.inject({ kind: 'rate-limit', retryAfter: 60 })
      const { status, headers, body } = await get({ ...token, accept: 'application/json' })
      expect([status, headers.get('retry-after'), JSON.parse(body).error_code]).toEqual([429, '60', 1015])
    },
  },
  ...(
    [
      ['browser-signature', 1010, 'user-agent signature'],
      ['waf', 1020, 'WAF rule'],
    ] as const
  ).map(
    ([kind, code, diagnosis]): Row => ({
      observed: `code ${code}`,
      diagnosis,
      async run({ sim, get, token }) {
        sim.inject({ kind })
        const { status, body } = await get({ ...token, accept: 'application/json' })
        expect([status, JSON.parse(body).error_code]).toEqual([403, code])
      },
    }),
  ),
  {
    observed: 'an unmarked Cloudflare-branded 403',
    diagnosis: 'WAF rule',
    async run({ sim, get, token }) {
      sim.inject({ kind: 'waf-unmarked' })
      const { status, headers, body } = await get(token)
      expect([status, headers.get('cf-access-aud'), headers.get('cf-mitigated')]).toEqual([403, null, null])
      expect(headers.get('cf-ray')).not.toBeNull()
      expect(body).toContain('| Cloudflare</title>')
    },
  },
  {
    observed: '302 to the login, nothing sent',
    diagnosis: 'Access wants a login',
    async run({ get }) {
      const { status, headers, meta } = await get()
      expect(status).toBe(302)
      expect(headers.get('location')).toContain('/cdn-cgi/access/login/')
      expect(meta).toMatchObject({ service_token_status: false })
    },
  },
  {
    observed: '302 to the login, service token sent, status false',
    diagnosis: 'token not recognised',
    async run({ get, token }) {
      const { status, meta } = await get({ ...token, 'CF-Access-Client-Secret': '0'.repeat(64) })
      expect([status, meta?.service_token_status]).toEqual([302, false])
    },
  },
  {
    observed: '302 to the login, service token sent, status true',
    diagnosis: 'valid but not admitted',
    async run({ sim, get, token }) {
      sim.configureApplication('app', { policies: [{ action: 'allow' }] })
      const { status, meta } = await get(token)
      expect([status, meta?.service_token_status]).toEqual([302, true])
    },
  },
  {
    observed: '302 to the login, user token sent',
    diagnosis: 'expired or revoked',
    async run({ sim, get, clock }) {
      const headers = { 'cf-access-token': await sim.issueUserToken('app', 'anna@example.com') }
      expect((await get(headers)).status).toBe(200)
      clock.advance(86_400_000)
      expect((await get(headers)).status).toBe(302)
    },
  },
  {
    observed: '401 with cf-access-domain and scheme Cloudflare-Access',
    diagnosis: 'strict refusal',
    async run({ sim, get, token }) {
      sim.configureTeam('acme', { strict: true })
      const { status, headers } = await get({ ...token, 'CF-Access-Client-Secret': '0'.repeat(64) })
      expect([status, headers.get('cf-access-domain')]).toEqual([401, 'app.example.com'])
      expect(headers.get('www-authenticate')).toMatch(/^Cloudflare-Access /)
    },
  },
  {
    observed: '401 HTML to XMLHttpRequest',
    diagnosis: 'AJAX refusal',
    async run({ get }) {
      const { status, headers } = await get({ 'X-Requested-With': 'XMLHttpRequest' })
      expect([status, headers.get('cf-access-domain')]).toEqual([401, 'app.example.com'])
    },
  },
  {
    observed: '401 Bearer with a protected-resource document of Access',
    diagnosis: 'Managed OAuth',
    async run({ sim, get }) {
      sim.configureApplication('app', { managedOAuth: true })
      const { status, headers } = await get()
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toMatch(/^Bearer .*cloudflare-access-protected-resource/)
    },
  },
  {
    observed: '403 with cf-access-aud, older mode',
    diagnosis: 'Service Auth refusal: token or policy',
    async run({ sim, get, token }) {
      sim.configureApplication('app', { policies: [{ action: 'service_auth', tokens: ['another'] }] })
      const { status, headers } = await get(token)
      expect([status, headers.get('cf-access-aud')]).toEqual([403, AUD])
    },
  },
  {
    observed: '403 with its JSON, strict mode',
    diagnosis: 'Service Auth refusal: the policy',
    async run({ sim, get, token }) {
      sim.configureTeam('acme', { strict: true })
      sim.configureApplication('app', { policies: [{ action: 'service_auth', tokens: ['another'] }] })
      const { status, body } = await get({ ...token, accept: 'application/json' })
      expect([status, JSON.parse(body).aud]).toEqual([403, AUD])
    },
  },
  {
    observed: '200 HTML from the team’s host',
    diagnosis: 'a redirect was followed',
    async run({ sim, get, token }) {
      const { status, url, body } = await get(
        { ...token, 'CF-Access-Client-Secret': '0'.repeat(64) },
        'follow',
      )
      expect([status, new URL(url).host]).toEqual([200, 'acme.cloudflareaccess.com'])
      expect(body).toContain('Cloudflare Access</title>')
      expect(sim.secretReachedRedirectedHost).toBe(true)
    },
  },
  ...(
    [
      [{ kind: 'tunnel-down' }, 530, 1033, 'tunnel down'],
      [{ kind: 'origin-dns' }, 530, 1016, 'origin DNS'],
      [{ kind: 'bad-gateway' }, 502, 502, 'origin refused, through a tunnel'],
      ...([521, 522, 523, 525, 526] as const).map(
        (status) => [{ kind: 'origin-error', status }, status, status, 'origin or TLS'] as const,
      ),
      [{ kind: 'origin-timeout' }, 524, 524, 'more than 100 s silent'],
      [{ kind: 'worker-crash' }, 500, 1101, 'Worker crash'],
      [{ kind: 'worker-limits' }, 503, 1102, 'Worker limits'],
    ] as const
  ).map(
    ([fault, status, code, diagnosis]): Row => ({
      observed: `${status} with code ${code}`,
      diagnosis,
      async run({ sim, get, token }) {
        sim.inject(fault)
        const seen = await get({ ...token, accept: 'application/json' })
        expect([seen.status, JSON.parse(seen.body).error_code, originMarked(seen)]).toEqual([
          status,
          code,
          false,
        ])
      },
    }),
  ),
  {
    observed: 'HTTP reaches the origin, the upgrade gives 200 with its marker',
    diagnosis: 'the Upgrade was lost',
    async run({ sim, get, token }) {
      sim.inject({ kind: 'drop-upgrade' })
      expect(originMarked(await get(token))).toBe(true)
      const { status, headers } = await upgrade(sim, 'wss://app.example.com/', token)
      expect([status, headers['x-origin']]).toEqual([200, 'here'])
    },
  },
  {
    observed: 'HTTP reaches the origin, the upgrade gives 502 without its marker',
    diagnosis: 'another server answered, or none',
    async run({ sim, get, token }) {
      sim.inject({ kind: 'bad-gateway', when: { upgrade: true } })
      expect(originMarked(await get(token))).toBe(true)
      const { status, headers } = await upgrade(sim, 'wss://app.example.com/', token)
      expect([status, headers['x-origin']]).toEqual([502, undefined])
    },
  },
  {
    observed: '1006 after 100 s of silence',
    diagnosis: 'idle cut',
    async run({ sim, token, clock }) {
      const to = sim.to('wss://app.example.com/')
      const socket = new WebSocket(to.url, { headers: { ...to.headers, ...token } })
      await once(socket, 'open')
      clock.advance(100_000)
      expect(((await once(socket, 'close')) as [number])[0]).toBe(1006)
    },
  },
  ...([401, 403] as const).map(
    (code): Row => ({
      observed: `${code} with the origin’s own marker`,
      diagnosis: 'the origin refused',
      async run({ get, token, origin }) {
        origin.server.removeAllListeners('request')
        origin.server.on('request', (_, res) => res.writeHead(code, { 'x-origin': 'here' }).end())
        const seen = await get(token)
        expect([seen.status, originMarked(seen), seen.headers.get('cf-access-aud')]).toEqual([
          code,
          true,
          null,
        ])
      },
    }),
  ),
  {
    observed: '2xx on a path meant to be gated',
    diagnosis: 'Access is bypassed or off',
    async run({ sim, get }) {
      sim.configureApplication('app', { policies: [{ action: 'bypass' }] })
      expect((await get()).status).toBe(200)
      sim.removeApplication('app')
      sim.addHost('app.example.com')
      expect((await get()).status).toBe(200)
    },
  },
]

test.each(rows)('$observed: $diagnosis', async ({ run }) => {
  const origin = await startOrigin()
  const clock = manualClock()
  const sim = await startSim({ upstream: origin.url, clock })
  await run({
    sim,
    origin,
    clock,
    token: { ...sim.addServiceToken({ name: 'ci' }).headers },
    async get(headers = {}, redirect = 'manual') {
      const response = await sim.fetch(`${APP}/`, { headers, redirect })
      const { status, url } = response
      return {
        status,
        url,
        headers: response.headers,
        body: await response.text(),
        meta: metaOf(response.headers),
      }
    },
  })
})
