import { headerHandshake } from '@upgate/client'
import { afterEach, describe, expect, test } from 'vitest'
import { askClient, askDoctor } from './run.ts'
import type { Started } from './situation.ts'
import { behindEdge, wrongSecret } from './situations/edge.ts'
import { Stage } from './stage.ts'

/* What a person tries, one after the other, to get a node through Cloudflare Access; the edge is simulated. */

let stage = new Stage()
afterEach(async () => {
  await stage.end()
  stage = new Stage()
})

const cookie = 'session=a-session-of-the-gateway'

/** The five attempts, with the same facts for client and doctor. */
function attempts({ url, token, edge }: Awaited<ReturnType<typeof behindEdge>>): readonly Started[] {
  const wrong = { ...edge, clientSecret: wrongSecret }
  return [
    { url, client: {}, doctor: {} },
    {
      url,
      client: { credential: token, handshake: headerHandshake() },
      doctor: { token, handshake: 'header' },
    },
    { url, client: { headers: { cookie } }, doctor: { cookie } },
    { url, client: { credential: token, edge: wrong }, doctor: { token, edge: wrong } },
    { url, client: { credential: token, edge }, doctor: { token, edge } },
  ]
}

const login = 'access_login_required'

describe.each([
  ['older mode', false, [login, login, login, 'access_token_unknown', 'connected']],
  ['strict mode', true, [login, login, login, 'access_rejected', 'connected']],
] as const)('%s', (_name, strict, expected) => {
  test('nothing, a Bearer token, a cookie, a wrong and the right service token', async () => {
    const behind = await behindEdge(stage)
    behind.sim.configureTeam('acme', { strict })
    const said = await Promise.all(
      attempts(behind).map(async (started) => {
        const [client, doctor] = await Promise.all([askClient(started), askDoctor(started)])
        return { client, doctor }
      }),
    )
    expect(said.map(({ client }) => client.code)).toEqual(expected)
    expect(said.map(({ doctor }) => doctor.code)).toEqual(expected)
    expect(behind.sim.secretReachedRedirectedHost).toBe(false)
    const printed = JSON.stringify(said)
    for (const secret of [behind.token, behind.edge.clientSecret, behind.edge.clientId, wrongSecret, cookie])
      expect(printed).not.toContain(secret)
  })
})

test('a Service Auth policy alone, in the older mode: a 403 that Access wrote, told from a refusal of the gate', async () => {
  const behind = await behindEdge(stage)
  behind.sim.configureApplication('app', { policies: [{ action: 'service_auth' }] })
  const said = await Promise.all(
    attempts(behind).map(async (started) => {
      const [client, doctor] = await Promise.all([askClient(started), askDoctor(started)])
      return [client.code, doctor.code]
    }),
  )
  expect(said).toEqual([
    [login, login],
    [login, login],
    [login, login],
    ['access_forbidden', 'access_forbidden'],
    ['connected', 'connected'],
  ])
})
