import type { IncomingMessage, ServerResponse } from 'node:http'
import { createEdgeSim } from '@upgate/edge-sim'
import { describe, expect, test } from 'vitest'
import { cleanUp, httpServer, later, report } from './helpers.ts'

cleanUp()

/* `upgate doctor oauth` against resources and authorization servers on loopback, good ones and bad ones. */

type Documents = Readonly<Record<string, unknown>>

/** A resource at `/mcp` and its authorization server in one process; `change` edits the documents. */
function authorization(
  change: (documents: Record<string, Record<string, unknown>>, origin: string) => Documents = (same) => same,
  token: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) =>
    response
      .writeHead(400, { 'content-type': 'application/json' })
      .end(JSON.stringify({ error: 'invalid_request' })),
): Promise<string> {
  return httpServer((request, response) => {
    const origin = `http://${request.headers.host}`
    const documents = change(
      {
        '/.well-known/oauth-protected-resource/mcp': {
          resource: `${origin}/mcp`,
          authorization_servers: [origin],
          scopes_supported: ['tools.read'],
        },
        '/.well-known/oauth-authorization-server': {
          issuer: origin,
          authorization_endpoint: `${origin}/authorize`,
          token_endpoint: `${origin}/token`,
          code_challenge_methods_supported: ['S256'],
          scopes_supported: ['tools.read', 'tools.write'],
        },
      },
      origin,
    )
    const path = request.url ?? ''
    if (path === '/mcp') {
      response.writeHead(401, {
        'www-authenticate': `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`,
      })
      response.end()
    } else if (path === '/token') token(request, response)
    else if (documents[path] === undefined) response.writeHead(404).end()
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(documents[path]))
  })
}

const verdictAt = async (origin: string, path = '/mcp') => report(['doctor', 'oauth', `${origin}${path}`])

describe('a client finds its way', () => {
  test('from the resource, and from the issuer alone', async () => {
    const origin = await authorization()
    const all = await verdictAt(origin)
    expect(all.status).toBe(0)
    expect(all.verdict.title).toBe('An OAuth client finds its way')
    expect(new Set(Object.values(all.ids))).toEqual(new Set(['pass']))
    const issuer = await verdictAt(origin, '')
    expect(issuer.status).toBe(0)
    expect(issuer.ids).toMatchObject({ resource_metadata: 'unknown', issuer_metadata: 'pass' })
  })
})

describe('documents that contradict each other', () => {
  test('another resource than the one that was asked', async () => {
    const origin = await authorization((documents, self) => ({
      ...documents,
      '/.well-known/oauth-protected-resource/mcp': {
        resource: 'https://other.example.com/mcp',
        authorization_servers: [self],
      },
    }))
    const { status, verdict } = await verdictAt(origin)
    expect(status).toBe(3)
    expect(verdict).toMatchObject({ code: 'oauth_resource_mismatch', layer: 'origin-auth' })
  })

  test('another issuer, no S256, a scope that no server gives: each is in the evidence', async () => {
    const origin = await authorization((documents) => ({
      ...documents,
      '/.well-known/oauth-authorization-server': {
        ...documents['/.well-known/oauth-authorization-server'],
        issuer: 'https://other.example.com',
        code_challenge_methods_supported: ['plain'],
        scopes_supported: ['tools.write'],
      },
    }))
    const { verdict } = await verdictAt(origin)
    expect(verdict.code).toBe('oauth_metadata_contradicts')
    expect(verdict.evidence.map(({ value }) => value)).toEqual([
      '`issuer` differs from the issuer that was asked',
      '`code_challenge_methods_supported` lacks S256: clients refuse it',
      'the resource offers scopes that the server does not: tools.read',
    ])
  })

  test('no document at all', async () => {
    const origin = await authorization(() => ({}))
    expect((await verdictAt(origin)).verdict.code).toBe('oauth_no_resource_metadata')
    expect((await verdictAt(origin, '')).verdict.code).toBe('oauth_no_server_metadata')
  })
})

describe('the token exchange', () => {
  test('a bot filter that swallows libraries, and lets browsers through', async () => {
    const upstream = await authorization()
    const sim = createEdgeSim({
      upstream,
      applications: [{ name: 'gateway', host: 'localhost', policies: [{ action: 'bypass' }] }],
    })
    await sim.start()
    later(() => sim.stop())
    const behind = sim.url.replace('127.0.0.1', 'localhost')
    const before = await verdictAt(behind)
    expect(before.status).toBe(0)
    const off = sim.inject({
      kind: 'challenge',
      when: { paths: ['/token'], methods: ['POST'], userAgents: ['aiohttp'] },
    })
    const { status, verdict, ids } = await verdictAt(behind)
    expect(status).toBe(1)
    expect(verdict).toMatchObject({ code: 'bot_challenge', layer: 'edge-bot' })
    expect(verdict.evidence[0]).toEqual({ name: 'user agent', value: 'Python/3.12 aiohttp/3.11.11' })
    expect(ids).toMatchObject({ issuer_metadata: 'pass', token_endpoint: 'fail' })
    off()
    expect((await verdictAt(behind)).status).toBe(0)
  })

  test('a page in place of an OAuth error', async () => {
    const origin = await authorization(
      (same) => same,
      (_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome'),
    )
    expect((await verdictAt(origin)).verdict.code).toBe('oauth_token_endpoint_no_json')
  })

  test('asks for nothing: no code, no client, no secret', async () => {
    const bodies: string[] = []
    const origin = await authorization(
      (same) => same,
      (request, response) => {
        request.setEncoding('utf8').on('data', (text: string) => bodies.push(text))
        request.on('end', () => response.writeHead(400).end('{"error":"invalid_request"}'))
      },
    )
    expect((await verdictAt(origin)).status).toBe(0)
    expect(new Set(bodies)).toEqual(new Set(['grant_type=authorization_code']))
  })
})

describe('hostile metadata', () => {
  test('deep nesting, an endless list, terminal escapes: a verdict, and nothing of it is printed', async () => {
    const nested = `{"issuer":${'['.repeat(100_000)}`
    const origin = await httpServer((request, response) => {
      response.writeHead(request.url === '/mcp' ? 401 : 200, {
        'content-type': 'application/json',
        'www-authenticate': 'Bearer resource_metadata="javascript:alert(1)"',
      })
      response.end(nested)
    })
    const { verdict } = await verdictAt(origin)
    expect(verdict.code).toBe('oauth_no_resource_metadata')
    const escapes = await authorization((documents) => ({
      ...documents,
      '/.well-known/oauth-protected-resource/mcp': {
        ...documents['/.well-known/oauth-protected-resource/mcp'],
        scopes_supported: ['\u001b[2J<script>', ...Array.from({ length: 5000 }, (_, i) => `s${i}`)],
      },
    }))
    const { verdict: other } = await verdictAt(escapes)
    expect(other.code).toBe('oauth_metadata_contradicts')
    expect(JSON.stringify(other)).not.toMatch(/\\u001b|<script/)
  })

  test('an issuer that leads to a link-local address: the doctor does not go there', async () => {
    // From a public resource, inner addresses are refused; here the start is loopback, so that the scheme decides.
    const origin = await authorization((documents) => ({
      ...documents,
      '/.well-known/oauth-protected-resource/mcp': {
        ...documents['/.well-known/oauth-protected-resource/mcp'],
        authorization_servers: ['ftp://169.254.169.254/latest'],
      },
    }))
    expect((await verdictAt(origin)).verdict.code).toBe('oauth_issuer_refused')
  })
})
