/*
 * A hosted assistant logs in to a gateway that is its own authorization server. The browser steps pass the edge; the
 * token request comes from a data centre with the user agent of a library, and the bot filter swallows it. The server
 * sees a code that no client redeems, and has to say what that means.
 */
import { type CodeNotRedeemed, createCodeWatch, oauthRules } from 'upgate/oauth'
import { describe, expect, it } from 'vitest'
import * as server from './authorization-server.ts'
import { assistant, authorise, cleanUp, redeem, site } from './authorization-server.ts'

cleanUp()

async function start() {
  const events: CodeNotRedeemed[] = []
  const started = await server.start({
    rules: oauthRules({ authorize: '/oauth/authorize', resources: ['/mcp'], origin: site }),
    watch({ clock, provider }) {
      const watch = createCodeWatch({ clock, onNotRedeemed: (event) => events.push(event) })
      provider.on('authorization_code.saved', (code) => watch.issued(code.jti, code.clientId))
      provider.on('authorization_code.consumed', (code) => watch.redeemed(code.jti))
      return () => watch.close()
    },
  })
  return { ...started, events }
}

const botFilter = {
  kind: 'challenge',
  when: { paths: ['/oauth/token'], methods: ['POST'], userAgents: ['aiohttp'] },
} as const

describe('an authorization server behind an edge', () => {
  it('is discovered from the 401 of the resource, which is never a redirect', async () => {
    const { sim } = await start()
    const answer = await sim.fetch(`${site}/mcp`, {
      redirect: 'manual',
      headers: { accept: 'text/html', ...assistant },
    })
    expect(answer.status).toBe(401)
    const challenge = answer.headers.get('www-authenticate') ?? ''
    const [, metadata = ''] = /^Bearer .*resource_metadata="([^"]+)"/.exec(challenge) ?? []
    expect(metadata).toBe(`${site}/.well-known/oauth-protected-resource/mcp`)
    const resource = await (await sim.fetch(metadata, { headers: assistant })).json()
    expect(resource).toMatchObject({ authorization_servers: [site] })
    const found = await sim.fetch(`${site}/.well-known/oauth-authorization-server`, { headers: assistant })
    const server = (await found.json()) as Record<string, string>
    expect(server).toMatchObject({ issuer: site, token_endpoint: `${site}/oauth/token` })
    expect((await sim.fetch(server.jwks_uri ?? '', { headers: assistant })).status).toBe(200)
  })

  it('without the bot filter: the code is redeemed, the token opens the resource, and nothing is reported', async () => {
    const started = await start()
    const answer = await redeem(started, await authorise(started))
    expect(answer.status).toBe(200)
    const { access_token: token } = (await answer.json()) as { access_token: string }
    const mcp = await started.sim.fetch(`${site}/mcp`, {
      headers: { ...assistant, authorization: `Bearer ${token}` },
    })
    expect(mcp.status).toBe(200)
    const wrong = await started.sim.fetch(`${site}/mcp`, {
      headers: { ...assistant, authorization: `Bearer ${token}x` },
    })
    expect([wrong.status, wrong.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringContaining('error="invalid_token"'),
    ])
    started.clock.advance(600_000)
    expect(started.events).toEqual([])
  })

  it('with the bot filter: the browser steps pass, the token request does not, and the watch says so', async () => {
    const started = await start()
    const { sim, clock, events } = started
    const off = sim.inject(botFilter)
    for (let count = 1; count <= 2; count++) {
      const blocked = await redeem(started, await authorise(started))
      expect([blocked.status, blocked.headers.get('cf-mitigated')]).toEqual([403, 'challenge'])
      clock.advance(59_999)
      expect(events).toHaveLength(count - 1)
      clock.advance(1)
      expect(events.at(-1)).toMatchObject({ type: 'code_not_redeemed', clientId: 'assistant', count })
    }
    // One code may be lost to a closed window; the second one brings advice.
    expect(events.map(({ advice }) => advice?.includes('Bot Fight Mode'))).toEqual([undefined, true])
    // A probe with another user agent passes, and proves nothing.
    const probe = await sim.fetch(`${site}/oauth/token`, {
      method: 'POST',
      headers: { 'user-agent': 'curl/8' },
    })
    expect([probe.status, probe.headers.has('cf-mitigated')]).toEqual([400, false])

    off()
    expect((await redeem(started, await authorise(started))).status).toBe(200)
    clock.advance(600_000)
    expect(events).toHaveLength(2)
    sim.inject(botFilter)
    await redeem(started, await authorise(started))
    clock.advance(60_000)
    expect(events.at(-1)).toMatchObject({ count: 1, advice: undefined })
  })
})
