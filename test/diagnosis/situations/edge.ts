import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import type { DiagnosisCode } from '@upgate/diagnosis'
import { createEdgeSim, type EdgeSim, type Fault, type TeamOptions } from '@upgate/edge-sim'
import { startGate } from '../gate.ts'
import type { Situation, Started } from '../situation.ts'
import type { Stage } from '../stage.ts'

const simulated = 'Cloudflare’s edge: @upgate/edge-sim'

/** The team's keys, made once: to make them for each edge takes longer than all the rest. */
const signingKeys = [1, 2].map(() => {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return createPrivateKey(privateKey).export({ format: 'jwk' })
}) as TeamOptions['signingKeys']

/** A gate behind the simulated edge, a service token that it admits, and a device token of the gate. */
export async function behindEdge(stage: Stage) {
  const { port, services } = await startGate(stage)
  const sim = createEdgeSim({
    upstream: `http://127.0.0.1:${port}`,
    teams: [{ name: 'acme', ...(signingKeys !== undefined && { signingKeys }) }],
    applications: [
      { name: 'app', host: '127.0.0.1', policies: [{ action: 'service_auth' }, { action: 'allow' }] },
    ],
  })
  await sim.start()
  stage.later(() => sim.stop())
  const { headers } = sim.addServiceToken({ name: 'node' })
  const edge = {
    clientId: headers['CF-Access-Client-Id'] as string,
    clientSecret: headers['CF-Access-Client-Secret'] as string,
  }
  const { token } = await services.devices.create({ name: 'printer' })
  return { sim, edge, token, url: `${sim.url.replace('http', 'ws')}/ws` }
}

/** A client secret of the right form that belongs to no token. */
export const wrongSecret = '0a'.repeat(32)

type Behind = Awaited<ReturnType<typeof behindEdge>>

/** Options for both. */
export const both = (url: string, token?: string, edge?: Behind['edge']): Started => ({
  url,
  client: { ...(token !== undefined && { credential: token }), ...(edge !== undefined && { edge }) },
  doctor: { token, edge },
})

const access = (
  number: number,
  name: string,
  code: DiagnosisCode,
  start: (behind: Behind) => Started,
): Situation => ({ number, name, code, simulated, start: async (stage) => start(await behindEdge(stage)) })

const fault = (number: number, name: string, code: DiagnosisCode, what: Fault): Situation =>
  access(number, name, code, ({ sim, url, token, edge }) => {
    sim.inject(what)
    return both(url, token, edge)
  })

const strictly = (sim: EdgeSim): void => void sim.configureTeam('acme', { strict: true })

export const edge: readonly Situation[] = [
  access(25, 'Access wants a login, and nothing was sent', 'access_login_required', ({ url, token }) =>
    both(url, token),
  ),
  access(26, 'Access does not know the service token', 'access_token_unknown', ({ url, token, edge }) =>
    both(url, token, { ...edge, clientSecret: wrongSecret }),
  ),
  access(27, 'Access knows the token, and no policy admits it', 'access_not_admitted', (behind) => {
    behind.sim.configureApplication('app', { policies: [{ action: 'allow' }] })
    return both(behind.url, behind.token, behind.edge)
  }),
  access(28, 'strict mode, an unknown service token', 'access_rejected', ({ sim, url, token, edge }) => {
    strictly(sim)
    return both(url, token, { ...edge, clientSecret: wrongSecret })
  }),
  access(29, 'strict mode, no policy admits the token', 'access_forbidden', ({ sim, url, token, edge }) => {
    strictly(sim)
    sim.configureApplication('app', { policies: [{ action: 'allow' }] })
    return both(url, token, edge)
  }),
  access(30, 'Managed OAuth at the edge', 'access_oauth', ({ sim, url, token }) => {
    sim.configureApplication('app', { managedOAuth: true })
    return both(url, token)
  }),
  fault(33, 'a bot challenge', 'bot_challenge', { kind: 'challenge' }),
  fault(33, 'a bot challenge with 503', 'bot_challenge', { kind: 'challenge', status: 503 }),
  fault(34, 'a user agent that is banned', 'edge_user_agent_banned', { kind: 'browser-signature' }),
  fault(35, 'a rule of the firewall', 'edge_waf', { kind: 'waf' }),
  fault(35, 'a rule of the firewall, without its number', 'edge_waf', { kind: 'waf-unmarked' }),
  fault(36, 'a rate limit of the edge', 'edge_rate_limited', { kind: 'rate-limit' }),
  fault(37, 'a tunnel that is down', 'tunnel_down', { kind: 'tunnel-down' }),
  fault(38, 'an origin name that does not exist', 'edge_origin_dns', { kind: 'origin-dns' }),
  fault(39, 'an origin that refuses the tunnel', 'edge_bad_gateway', { kind: 'bad-gateway' }),
  ...(
    [
      [521, 'edge_origin_down'],
      [522, 'edge_origin_timeout'],
      [523, 'edge_origin_unreachable'],
      [525, 'edge_origin_handshake'],
      [526, 'edge_origin_certificate'],
    ] as const
  ).map(([status, code]) => fault(40, `${status}`, code, { kind: 'origin-error', status })),
  fault(41, '100 seconds without an answer', 'edge_origin_silent', { kind: 'origin-timeout' }),
  fault(42, 'a Worker that crashed', 'worker_crashed', { kind: 'worker-crash' }),
  fault(42, 'a Worker over its limits', 'worker_limits', { kind: 'worker-limits' }),
  fault(43, 'a tunnel that drops Upgrade', 'upgrade_lost', { kind: 'drop-upgrade' }),
  fault(43, 'a tunnel that answers upgrades with 502', 'upgrade_lost', {
    kind: 'bad-gateway',
    when: { upgrade: true },
  }),
]
