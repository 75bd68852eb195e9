/*
 * A gateway with an MCP endpoint, the server of the official SDK, and a third-party authorization server
 * (oidc-provider), behind one gate. Each tool needs a scope of its own.
 */
import { createHash, createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import Provider from 'oidc-provider'
import { createGate, type Scheme } from 'upgate'
import { expressGate } from 'upgate/express'
import { oauthRules } from 'upgate/oauth'

/** What a test counts, in order. */
export interface Record {
  /** Scopes that the user was asked to agree to, per question. */
  readonly consents: (readonly string[])[]
  /** Scopes of each authorization request. */
  readonly authorizations: string[]
  /** Clients registered. */
  registrations: number
  /** Method and path of every request. */
  readonly requests: string[]
  /** Method, path and status of every request that came with the cookie of the login. */
  readonly withCookie: string[]
}

/** Tools and the scopes that they need. */
export const tools = { read: 'files.read', write: 'files.write', purge: 'files.purge' } as const
/** The cookie of the gateway's own login. */
export const login = { name: 'sid', value: 'ada' } as const

function signingKey(): object {
  // By way of PEM: Node 20 can lock up when a key just generated is exported as JWK.
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return { ...createPrivateKey(privateKey).export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'own' }
}

/** The login of people: a cookie, which a browser sends by itself. */
const cookie: Scheme = {
  name: 'cookie',
  ambient: true,
  extract({ headers }) {
    const value = /(?:^|; )sid=([^;]*)/.exec(String(headers.cookie ?? ''))?.[1]
    return value === undefined
      ? undefined
      : { credential: { type: 'token', source: 'cookie', value }, location: 'cookie sid' }
  },
  verify: (credential) =>
    credential.type === 'token' && credential.value === login.value
      ? {
          outcome: 'authenticated',
          principal: {
            kind: 'user',
            id: 'ada',
            scheme: 'cookie',
            // More than any token here: it must not count for the resource.
            scopes: Object.values(tools),
            roles: [],
            attributes: {},
          },
        }
      : { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' },
}

/**
 * Starts the gateway.
 *
 * @param anyOrigin - whether pages of other origins may use it
 */
export async function startMcpGateway({ anyOrigin }: { readonly anyOrigin: boolean }) {
  const record: Record = { consents: [], authorizations: [], registrations: 0, requests: [], withCookie: [] }
  const app = express()
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const resource = `${site}/mcp`

  const provider = new Provider(site, {
    jwks: { keys: [signingKey()] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    scopes: ['openid'],
    routes: {
      authorization: '/oauth/authorize',
      token: '/oauth/token',
      registration: '/oauth/register',
      revocation: '/oauth/revoke',
      jwks: '/.well-known/jwks.json',
    },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: Object.values(tools).join(' '),
          audience: resource,
          accessTokenFormat: 'opaque',
        }),
      },
    },
    clientBasedCORS: () => anyOrigin,
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/oauth/consent/${uid}` },
    findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
  })

  const tokens: Scheme = {
    name: 'oauth',
    ambient: false,
    challenge: 'Bearer',
    extract({ headers }) {
      const [, value] = /^Bearer (\S+)$/.exec(String(headers.authorization ?? '')) ?? []
      if (value === undefined) return undefined
      return { credential: { type: 'token', source: 'header', value }, location: 'authorization' }
    },
    async verify(credential) {
      const token =
        credential.type === 'token' ? await provider.AccessToken.find(credential.value) : undefined
      if (token === undefined) return { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
      // A token for another resource is none for this one (RFC 8707).
      if (![token.aud].flat().includes(resource)) {
        return {
          outcome: 'rejected',
          code: 'invalid_credential',
          reason: 'the token is for another resource',
        }
      }
      const principal = {
        kind: 'user',
        id: token.accountId,
        scheme: 'oauth',
        // Not the id itself: that of an opaque token is the token, and events have it.
        credentialId: createHash('sha256').update(token.jti).digest('hex').slice(0, 16),
        scopes: token.scope?.split(' ') ?? [],
        roles: [],
        expiresAt: token.exp * 1000,
        attributes: {},
      } as const
      return { outcome: 'authenticated', principal }
    },
  }

  const gate = createGate({
    origins: [site],
    schemes: [tokens, cookie],
    rules: oauthRules({
      origin: site,
      authorize: '/oauth/authorize',
      anyOrigin,
      resources: [{ path: '/mcp', scopes: [tools.read], scopesSupported: [tools.read] }],
    }),
  })
  const deciders = Object.fromEntries(
    Object.entries(tools).map(([tool, scope]) => [
      tool,
      expressGate(
        gate.require({
          scopes: [tools.read, scope].filter((each, at, all) => all.indexOf(each) === at),
          resourceMetadata: `${site}/.well-known/oauth-protected-resource/mcp`,
          anyOrigin,
        }),
      ),
    ]),
  )

  app.use((request, response, next) => {
    const line = `${request.method} ${request.path}`
    record.requests.push(line)
    if (request.headers.cookie?.includes(`${login.name}=`)) {
      response.on('finish', () => record.withCookie.push(`${line} ${response.statusCode}`))
    }
    if (request.path === '/oauth/authorize') record.authorizations.push(String(request.query.scope))
    next()
  })
  app.use(expressGate(gate))

  app.all('/mcp', express.json(), (request, response, next) => {
    const { method, params } = (request.body ?? {}) as { method?: string; params?: { name?: string } }
    const decider = method === 'tools/call' ? deciders[params?.name ?? ''] : undefined
    if (decider === undefined) next()
    else decider(request, response, next)
  })
  app.post('/mcp', async (request, response) => {
    const mcp = new McpServer({ name: 'files', version: '1.0.0' })
    const id = gate.principalOf(request)?.id
    for (const tool of Object.keys(tools)) {
      mcp.registerTool(tool, { description: tool }, () => ({
        content: [{ type: 'text', text: `${tool} by ${id}` }],
      }))
    }
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
    response.on('close', () => void mcp.close())
    // Its optional members are typed without `undefined`.
    await mcp.connect(transport as Parameters<typeof mcp.connect>[0])
    await transport.handleRequest(request, response, request.body)
  })
  app.all('/mcp', (_request, response) => void response.status(405).end())

  app.post('/oauth/register', express.json(), (request, _response, next) => {
    record.registrations++
    // This server would bind the client to the scopes that it knew of when it registered.
    request.body.scope = undefined
    next()
  })
  app.get('/oauth/consent/:uid', async (request, response) => {
    const { prompt, params, grantId } = await provider.interactionDetails(request, response)
    const accountId = gate.principalOf(request)?.id ?? ''
    // The user is logged in at the gateway already; only the consent is left to ask for.
    if (prompt.name === 'login') {
      return provider.interactionFinished(request, response, { login: { accountId } })
    }
    const { missingOIDCScope = [], missingResourceScopes = {} } = prompt.details
    record.consents.push([...missingOIDCScope, ...Object.values(missingResourceScopes).flat()])
    const known = grantId === undefined ? undefined : await provider.Grant.find(grantId)
    const grant = known ?? new provider.Grant({ accountId, clientId: params.client_id })
    if (missingOIDCScope.length > 0) grant.addOIDCScope(missingOIDCScope.join(' '))
    for (const [indicator, scopes] of Object.entries(missingResourceScopes)) {
      grant.addResourceScope(indicator, scopes.join(' '))
    }
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } })
  })
  app.use(provider.callback())

  return {
    site,
    record,
    async close() {
      gate.close()
      server.close()
      server.closeAllConnections()
    },
  }
}
