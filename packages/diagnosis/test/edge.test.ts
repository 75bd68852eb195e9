import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type DiagnosisCode, diagnose, type SentCredential } from '@upgate/diagnosis'
import { createEdgeSim, type EdgeSim, type Fault } from '@upgate/edge-sim'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/* The answers of a simulated edge, in all of its modes, classified: the edge's own verdicts are simulated ones. */

const server = createServer((_request, response) => response.end('origin'))
let sim: EdgeSim
let token: Record<string, string>

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  sim = createEdgeSim({
    upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    teams: ['acme'],
    users: [{ email: 'anna@example.com' }],
    applications: [
      { name: 'app', host: 'app.example.com', policies: [{ action: 'service_auth' }, { action: 'allow' }] },
    ],
  })
  await sim.start()
  token = { ...sim.addServiceToken({ name: 'node' }).headers }
})
afterAll(async () => {
  await sim.stop()
  server.close()
})

async function ask(
  headers: Record<string, string>,
  credentials: readonly SentCredential[],
  upgrade = true,
  redirect: 'manual' | 'follow' = 'manual',
) {
  const response = await sim.fetch('https://app.example.com/ws', { headers, redirect })
  return diagnose({
    url: 'wss://app.example.com/ws',
    sent: { credentials, upgrade },
    response: {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await response.text(),
      url: response.url,
    },
  })
}
const wrong = (): Record<string, string> => ({ ...token, 'CF-Access-Client-Secret': '0'.repeat(64) })

describe('a blocked attempt, step by step', () => {
  test('no credentials, Bearer only, cookie, wrong and right service token', async () => {
    expect((await ask({}, [])).code).toBe('access_login_required')
    expect((await ask({ authorization: 'Bearer x' }, ['bearer'])).code).toBe('access_login_required')
    expect((await ask({ cookie: 'session=x' }, ['cookie'])).code).toBe('access_login_required')
    expect((await ask(wrong(), ['edge_service_token'])).code).toBe('access_token_unknown')
    expect((await ask(token, ['edge_service_token'], false)).code).toBe('connected')
  })

  test('a valid token under a policy that does not admit it, and strict mode', async () => {
    sim.configureApplication('app', { policies: [{ action: 'allow' }] })
    expect((await ask(token, ['edge_service_token'])).code).toBe('access_not_admitted')
    sim.configureTeam('acme', { strict: true })
    expect((await ask(wrong(), ['edge_service_token'])).code).toBe('access_rejected')
    sim.configureApplication('app', { policies: [{ action: 'service_auth', tokens: ['another'] }] })
    expect((await ask(token, ['edge_service_token'])).code).toBe('access_forbidden')
    expect((await ask({ ...token, accept: 'application/json' }, ['edge_service_token'])).code).toBe(
      'access_forbidden',
    )
    sim.configureTeam('acme', { strict: false })
    expect((await ask(token, ['edge_service_token'])).code).toBe('access_forbidden')
    expect((await ask({}, [])).code).toBe('access_login_required')
    sim.configureApplication('app', {
      policies: [{ action: 'service_auth' }, { action: 'allow' }],
      managedOAuth: true,
    })
    expect((await ask({}, [])).code).toBe('access_oauth')
    sim.configureApplication('app', { managedOAuth: false })
  })

  test.each([
    ['current', 'access_not_admitted'],
    ['token-id', 'access_not_admitted'],
    // The oldest shape says nothing of the token; the other row is listed as confusable.
    ['minimal', 'access_token_unknown'],
  ] as const)('every generation of `meta`: %s', async (meta, admitted) => {
    sim.configureTeam('acme', { meta })
    expect((await ask(wrong(), ['edge_service_token'])).code).toBe('access_token_unknown')
    sim.configureApplication('app', { policies: [{ action: 'allow' }] })
    expect((await ask(token, ['edge_service_token'])).code).toBe(admitted)
    sim.configureApplication('app', { policies: [{ action: 'service_auth' }, { action: 'allow' }] })
    sim.configureTeam('acme', { meta: 'current' })
  })

  test('a client that follows the redirect', async () => {
    expect((await ask({}, [], false, 'follow')).code).toBe('access_redirect_followed')
  })
})

const faults: readonly (readonly [Fault, DiagnosisCode])[] = [
  [{ kind: 'challenge' }, 'bot_challenge'],
  [{ kind: 'rate-limit', retryAfter: 30 }, 'edge_rate_limited'],
  [{ kind: 'browser-signature' }, 'edge_user_agent_banned'],
  [{ kind: 'waf' }, 'edge_waf'],
  [{ kind: 'waf-unmarked' }, 'edge_waf'],
  [{ kind: 'tunnel-down' }, 'tunnel_down'],
  [{ kind: 'origin-dns' }, 'edge_origin_dns'],
  [{ kind: 'bad-gateway' }, 'edge_bad_gateway'],
  [{ kind: 'origin-timeout' }, 'edge_origin_silent'],
  [{ kind: 'origin-error', status: 521 }, 'edge_origin_down'],
  [{ kind: 'origin-error', status: 522 }, 'edge_origin_timeout'],
  [{ kind: 'origin-error', status: 523 }, 'edge_origin_unreachable'],
  [{ kind: 'origin-error', status: 525 }, 'edge_origin_handshake'],
  [{ kind: 'origin-error', status: 526 }, 'edge_origin_certificate'],
  [{ kind: 'worker-crash' }, 'worker_crashed'],
  [{ kind: 'worker-limits' }, 'worker_limits'],
]

test.each(faults)('$kind, as a page and as JSON, with a valid service token', async (fault, code) => {
  const off = sim.inject(fault)
  try {
    for (const accept of ['text/html', 'application/json']) {
      const verdict = await ask({ ...token, accept }, ['edge_service_token'])
      expect([
        verdict.code,
        verdict.evidence
          .map(({ value }) => value)
          .join(' ')
          .includes(token['CF-Access-Client-Secret'] as string),
      ]).toEqual([code, false])
      if (code === 'edge_rate_limited') expect(verdict.retryAfter).toBe(30)
    }
  } finally {
    off()
  }
})
