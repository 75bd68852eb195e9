import { oauthRules } from 'upgate/oauth'
import { describe, expect, it } from 'vitest'
import { makeGate, request, verdict } from '../core/fixtures.ts'

describe("the preset for an authorization server of one's own", () => {
  const gate = makeGate({
    login: { page: '/login' },
    rules: [
      { path: '/login', access: 'public' },
      ...oauthRules({
        authorize: '/oauth/authorize',
        resources: ['/mcp', '/tools/*'],
        origin: 'https://gateway.example.com',
      }),
    ],
  })
  const foreign = { origin: 'https://assistant.example', host: 'gateway.example.com' }

  it.each([
    ['GET', '/.well-known/oauth-protected-resource'],
    ['GET', '/.well-known/oauth-protected-resource/mcp'],
    ['GET', '/.well-known/oauth-authorization-server/tenant'],
    ['GET', '/.well-known/openid-configuration'],
    ['GET', '/.well-known/openid-configuration/tenant'],
    ['GET', '/.well-known/jwks.json'],
    ['POST', '/oauth/token'],
    ['POST', '/oauth/register'],
    ['POST', '/oauth/revoke'],
  ])('lets anybody %s %s, servers and pages of any origin', async (method, path) => {
    expect(await verdict(gate, request(path, { method }))).toMatch(/^(?:allow|document)$/)
    expect(await verdict(gate, request(path, { method, headers: foreign }))).toMatch(/^(?:allow|document)$/)
  })

  it.each([
    ['GET', '/oauth/token'],
    ['GET', '/oauth/authorize'],
    ['POST', '/.well-known/jwks.json'],
    ['GET', '/tools/x'],
  ])('but not %s %s', async (method, path) => {
    expect(await verdict(gate, request(path, { method }))).toBe('challenge auth_required')
  })

  it('answers 401 with its metadata on a protected resource, and leads the authorize page to the login', async () => {
    const answer = async (path: string) => {
      const req = request(path, { headers: { accept: 'text/html' } })
      const decision = await gate.decide(req)
      if (decision.outcome !== 'challenge') throw new Error(decision.outcome)
      return gate.render(decision, req)
    }
    const resource = await answer('/tools/x')
    expect(resource.status).toBe(401)
    expect(resource.headers).toContainEqual([
      'WWW-Authenticate',
      'Bearer realm="upgate", resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/tools"',
    ])
    expect((await answer('/oauth/authorize?client_id=x')).status).toBe(303)
  })

  it('checks its options', () => {
    expect(() => oauthRules({ resources: ['/mcp'] })).toThrow(/`origin` must be the public origin/)
    const origin = 'https://gateway.example.com'
    for (const path of ['/a/:tenant/mcp', '/mcp?x', '/a b', '/a*', '/*/x']) {
      expect(() => oauthRules({ origin, resources: [path] }), path).toThrow(
        /`resources\[0\]`: the path ".*" has to be fixed.*List each resource by its own path/,
      )
    }
    expect(() => oauthRules({ origin, resources: [{ path: '/mcp', scope: ['a'] } as never] })).toThrow(
      /`resources\[0\]`: unknown option `scope`. Did you mean `scopes`/,
    )
    expect(() => oauthRules({ origin, resources: ['/mcp', '/mcp/*'] })).not.toThrow()
    expect(() => oauthRules({ origin, resources: ['/mcp', { path: '/mcp/*', scopes: ['a'] }] })).toThrow(
      /`resources\[1\]` is the same resource as an earlier one, https:\/\/gateway\.example\.com\/mcp, and describes it differently/,
    )
    for (const issuer of ['login.example.com', 'https://x/?a', 'https://x#a', 7]) {
      expect(() => oauthRules({ authorizationServers: [issuer as string] }), String(issuer)).toThrow(
        /`authorizationServers` must list issuers/,
      )
    }
    for (const member of ['resource', 'authorization_servers', 'scopes_supported']) {
      const metadata = { [member]: 'https://evil.example' }
      expect(() => oauthRules({ origin, resources: [{ path: '/mcp', metadata }] })).toThrow(
        new RegExp(`\`metadata\` has \`${member}\`, which the other options decide`),
      )
    }
    expect(() => oauthRules({ tokens: '/x' } as never)).toThrow(/unknown option `tokens`/)
    for (const path of ['/*', '/oauth/*', '/', '', '/:what', 'oauth/token', '/token?x', 7, null]) {
      expect(() => oauthRules({ token: path as string }), String(path)).toThrow(/`token` must be one path/)
      expect(() => oauthRules({ jwks: path as string }), String(path)).toThrow(/`jwks` must be one path/)
    }
  })
})
