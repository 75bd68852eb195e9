import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EdgeFront, startEdge, wrongSecret } from './edge-front.ts'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { loggedIn, type Visitor } from './visitor.ts'

/* What a person tries, one after the other, to connect a gateway to another one behind Cloudflare Access; the edge is
   simulated, both gateways and TLS are real. */

let folders: DataDir[]
let there: Program
let here: Program
let edge: EdgeFront
let ada: Visitor
let boss: Visitor
beforeAll(async () => {
  folders = [temporaryDataDir(), temporaryDataDir()]
  const path = (index: number): string => folders[index]?.path ?? ''
  there = await startProgram({ dataDir: path(0) })
  edge = await startEdge(there.origin)
  here = await startProgram({
    dataDir: path(1),
    env: { REMOTE_ALLOW: 'loopback', NODE_EXTRA_CA_CERTS: edge.ca },
  })
  ada = await loggedIn(here.origin)
  boss = await loggedIn(there.origin)
})
afterAll(async () => {
  await endAll()
  await edge?.stop()
  for (const folder of folders) folder.remove()
})

const cookie = 'CF_Authorization=eyJhbGciOiJSUzI1NiJ9.a-cookie-of-a-browser'

/** Sets the connection, and resolves with the failure, or `connected`. */
async function attempt(secrets: Record<string, string | null>): Promise<unknown> {
  const none = { token: null, sessionKey: null, cfClientId: null, cfClientSecret: null }
  const set = await ada.post('/api/remote', { url: edge.url, ...none, ...secrets })
  expect(set.status).toBe(202)
  let last: { state: string; failure?: { code: string; layer: string; action: string } } = { state: 'off' }
  await expect
    .poll(async () => {
      last = (await ada.get('/api/remote')).json() as typeof last
      return last.state === 'connected' || last.failure !== undefined
    })
    .toBe(true)
  return last.failure === undefined
    ? last.state
    : [last.failure.layer, last.failure.code, last.failure.action]
}

const noLogin = ['edge-access', 'access_login_required', expect.stringContaining('service token')]

describe.each([
  ['older mode', false, 'access_token_unknown'],
  ['strict mode', true, 'access_rejected'],
] as const)('%s', (_, strict, refusal) => {
  it('nothing, a token alone, a cookie in its place, a wrong and the right service token', async () => {
    edge.sim.configureTeam('acme', { strict })
    const { token } = await boss.device('the other gateway')
    const service = { cfClientId: edge.token.id, cfClientSecret: edge.token.secret }
    expect([
      await attempt({}),
      await attempt({ token }),
      await attempt({ token: cookie }),
      await attempt({ token, ...service, cfClientSecret: wrongSecret }),
      await attempt({ token, ...service }),
    ]).toEqual([noLogin, noLogin, noLogin, ['edge-access', refusal, expect.stringMatching(/./)], 'connected'])
    expect(await boss.nodes()).toMatchObject([{ name: 'the other gateway' }])
    expect(edge.sim.secretReachedRedirectedHost).toBe(false)
    const said = [
      here.output(),
      here.errors(),
      there.output(),
      (await ada.get('/api/audit')).text,
      (await ada.get('/api/remote')).text,
      (await ada.get('/remote')).text,
    ].join()
    for (const secret of [token, cookie, wrongSecret, ...Object.values(edge.token)])
      expect(said).not.toContain(secret)
    expect((await ada.delete('/api/remote')).status).toBe(204)
  })
})
