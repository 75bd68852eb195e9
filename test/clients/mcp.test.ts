/*
 * The client and the server of the official MCP SDK, with a gate between them. The client follows the refusals:
 * where the 403 named the missing scopes alone, it replaced its scopes, and asked its user for consent 7 times in 6
 * operations.
 */
import { auth, type OAuthClientProvider, UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterEach, expect, it } from 'vitest'
import { login, startMcpGateway, tools } from './mcp-gateway.ts'

const redirectUrl = 'https://inspector.example.net/callback'
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** A user with a browser, logged in to the gateway: follows an authorization request to the code. */
function browserOf(site: string): (url: URL) => Promise<string> {
  const jar = new Map<string, string>([[login.name, login.value]])
  return async (start) => {
    let url = start.href
    while (url.startsWith(site)) {
      const sent = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
      const answer = await fetch(url, { redirect: 'manual', headers: { cookie: sent } })
      for (const line of answer.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        if (value === '') jar.delete(name)
        else jar.set(name, value)
      }
      const location = answer.headers.get('location')
      if (location === null) throw new Error(`${url} was answered ${answer.status}: ${await answer.text()}`)
      url = new URL(location, url).href
    }
    const { searchParams } = new URL(url)
    const code = searchParams.get('code')
    if (code === null) throw new Error(`No code: ${searchParams}`)
    return code
  }
}

/** Keeps what the SDK gives it, as a client with a store would. */
function providerOf(visit: (url: URL) => Promise<string>) {
  const kept: { code?: string; verifier?: string; tokens?: unknown; information?: unknown } = {}
  const provider = {
    redirectUrl,
    clientMetadata: {
      client_name: 'Inspector',
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    clientInformation: () => kept.information,
    saveClientInformation: (information: unknown) => {
      kept.information = information
    },
    tokens: () => kept.tokens,
    saveTokens: (tokens: unknown) => {
      kept.tokens = tokens
    },
    redirectToAuthorization: async (url: URL) => {
      kept.code = await visit(url)
    },
    saveCodeVerifier: (verifier: string) => {
      kept.verifier = verifier
    },
    codeVerifier: () => kept.verifier ?? '',
  }
  return { provider: provider as OAuthClientProvider, kept }
}

async function start() {
  const gateway = await startMcpGateway({ anyOrigin: false })
  closing.push(() => gateway.close())
  const { provider, kept } = providerOf(browserOf(gateway.site))
  const client = new Client({ name: 'test', version: '1.0.0' })
  const transportTo = () =>
    new StreamableHTTPClientTransport(new URL(`${gateway.site}/mcp`), { authProvider: provider })
  /** Does something as a client does: if the user had to agree first, once more with the new token. */
  const operate = async <T>(transport: StreamableHTTPClientTransport, task: () => Promise<T>): Promise<T> => {
    try {
      return await task()
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || kept.code === undefined) throw error
      await transport.finishAuth(kept.code)
      return task()
    }
  }
  let transport = transportTo()
  await client.connect(transport as Parameters<typeof client.connect>[0]).catch(async (error) => {
    if (!(error instanceof UnauthorizedError)) throw error
    await transport.finishAuth(kept.code ?? '')
    transport = transportTo()
    await client.connect(transport as Parameters<typeof client.connect>[0])
  })
  closing.push(() => client.close())
  const call = (name: keyof typeof tools) => operate(transport, () => client.callTool({ name }))
  return { gateway, client, call, kept, provider }
}

it('finds the authorization server, registers, and asks its user for each scope once', async () => {
  const { gateway, client, call, kept } = await start()
  const { record, site } = gateway
  // Discovery went by what the gate says and serves.
  expect(record.requests).toContain('GET /.well-known/oauth-protected-resource/mcp')
  expect(record.requests).toContain('GET /.well-known/oauth-authorization-server')
  expect(record.registrations).toBe(1)
  expect(record.authorizations).toEqual([tools.read])

  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(Object.keys(tools))
  const order = [
    'read',
    'write',
    'read',
    'purge',
    'write',
    'read',
    'purge',
    'write',
    'purge',
    'read',
  ] as const
  for (const tool of order) {
    expect((await call(tool)).content).toEqual([{ type: 'text', text: `${tool} by ada` }])
  }
  // Three questions for three scopes in twelve operations; each authorization request names all that is needed by then.
  expect(record.consents).toEqual([[tools.read], [tools.write], [tools.purge]])
  expect(record.authorizations).toEqual([
    tools.read,
    `${tools.read} ${tools.write}`,
    `${tools.read} ${tools.write} ${tools.purge}`,
  ])
  expect(record.registrations).toBe(1)
  expect((kept.tokens as { scope: string }).scope).toBe(Object.values(tools).join(' '))
  expect((kept.tokens as { issuer: string }).issuer.replace(/\/$/, '')).toBe(site)
})

it('takes neither a token for another resource, nor a dead one, nor a cookie of the same user from another page', async () => {
  const { gateway, kept } = await start()
  const { site } = gateway
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
  const ask = (headers: Readonly<globalThis.Record<string, string>>) =>
    fetch(`${site}/mcp`, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
    })
  const token = (kept.tokens as { access_token: string }).access_token
  expect((await ask({ authorization: `Bearer ${token}` })).status).toBe(200)
  const { provider, kept: other } = providerOf(browserOf(site))
  const elsewhere: OAuthClientProvider = {
    ...provider,
    validateResourceURL: async () => undefined,
  } as OAuthClientProvider
  await auth(elsewhere, { serverUrl: `${site}/mcp`, scope: 'openid' })
  await auth(elsewhere, { serverUrl: `${site}/mcp`, authorizationCode: other.code ?? '' })
  const unbound = (other.tokens as { access_token: string }).access_token
  expect(unbound).toBeTypeOf('string')
  for (const bad of [unbound, `${token}x`, 'x']) {
    const answer = await ask({ authorization: `Bearer ${bad}` })
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
      401,
      `Bearer realm="upgate", error="invalid_token", resource_metadata="${site}/.well-known/oauth-protected-resource/mcp", scope="${tools.read}"`,
    ])
  }
  // From a page of another origin, the browser would send the cookie along.
  const page = await ask({ cookie: `${login.name}=${login.value}`, origin: 'https://evil.example' })
  expect(page.status).toBe(403)
})
