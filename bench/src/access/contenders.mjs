import { cloudflareAccess as honoAccess } from '@hono/cloudflare-access'
import { expressjwt } from 'express-jwt'
import { createVerifier } from 'fast-jwt'
import { Hono } from 'hono'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { expressJwtSecret } from 'jwks-rsa'
import { createGate } from 'upgate'
import { cloudflareAccess } from 'upgate/cloudflare-access'
import { freshRequest } from '../decide/requests.mjs'
import { digest, rules } from '../fixture.mjs'
import { host } from '../headers.mjs'
import { audience, issuer, team } from './tokens.mjs'

/**
 * One way to find the principal of a token.
 *
 * @typedef {object} Contender
 * @property {string} id
 * @property {boolean} remembers Whether it knows a token that it has seen
 * @property {boolean} [verifies] False: it can say nothing about a token that it has not seen
 * @property {(token: string) => object} make Creates the question, outside of the timed section
 * @property {(question: any) => unknown} run
 * @property {(answer: any) => boolean} expected
 */

/**
 * A token as a new string, as the HTTP parser creates it: without a cached hash.
 *
 * @param {string} token
 */
const copyOf = (token) => Buffer.from(token, 'latin1').toString('latin1')

/**
 * @param {ReturnType<typeof import('./tokens.mjs').createIssuer>} access
 * @returns {Contender[]}
 */
export function createContenders({ jwks, publicKey }) {
  const answer = async () => Response.json(jwks)
  const gate = () =>
    createGate({
      origins: [`https://${host}`],
      trustedProxies: ['loopback'],
      schemes: [
        cloudflareAccess({
          team,
          audience: [audience],
          fetch: answer,
          identify: ({ subject }) => ({ id: subject, scopes: ['items.read'] }),
        }),
      ],
      rules: rules(),
    })
  const allowed = (/** @type {any} */ decision) =>
    decision.outcome === 'allow' && decision.principal.displayName === 'alice@example.com'

  // It fetches by the global one.
  globalThis.fetch = answer
  const hono = new Hono()
  hono.use('*', honoAccess(team, audience))
  hono.get('/api/items', (context) => context.body(null, 204))
  const middleware = expressjwt({
    secret: /** @type {any} */ (
      expressJwtSecret({ jwksUri: `${issuer}/cdn-cgi/access/certs`, fetcher: async () => jwks, cache: true })
    ),
    algorithms: ['RS256'],
    audience,
    issuer,
    getToken: (request) => /** @type {string} */ (request.headers['cf-access-jwt-assertion']),
  })
  // What no cache can do without that keeps no tokens: a digest, a look-up, a look at the clock.
  /** @type {Map<string, { email: string, expiresAt: number }>} */
  const known = new Map()
  const byHand = (/** @type {{ token: string }} */ { token }) => {
    const entry = known.get(digest(token))
    return entry !== undefined && Date.now() < entry.expiresAt ? entry : undefined
  }
  const checks = {
    key: publicKey,
    algorithms: /** @type {['RS256']} */ (['RS256']),
    allowedAud: audience,
    allowedIss: issuer,
  }
  const fastCached = createVerifier({ ...checks, cache: 10_000 })
  const fast = createVerifier({ ...checks, cache: false })
  const keys = createLocalJWKSet(/** @type {any} */ (jwks))
  const options = { issuer, audience, algorithms: ['RS256'], typ: 'JWT' }
  const asText = (/** @type {string} */ token) => ({ token: copyOf(token) })
  const isPayload = (/** @type {any} */ payload) => payload.email === 'alice@example.com'

  return [
    {
      id: 'upgate',
      remembers: true,
      make: (token) => freshRequest('/api/items', [['Cf-Access-Jwt-Assertion', token]]),
      run: gate().decide,
      expected: allowed,
    },
    {
      id: 'upgate-browser',
      remembers: true,
      make: (token) =>
        freshRequest('/api/items', [
          ['Cf-Access-Jwt-Assertion', token],
          ['Cf-Access-Authenticated-User-Email', 'alice@example.com'],
          ['Cookie', `theme=dark; CF_Authorization=${token}; lang=en`],
        ]),
      run: gate().decide,
      expected: allowed,
    },
    {
      id: 'floor',
      remembers: true,
      verifies: false,
      make(token) {
        known.set(digest(token), { email: 'alice@example.com', expiresAt: Date.now() + 86_400_000 })
        return { token: copyOf(token) }
      },
      run: byHand,
      expected: isPayload,
    },
    {
      id: 'fast-jwt-cache',
      remembers: true,
      make: asText,
      run: ({ token }) => fastCached(token),
      expected: isPayload,
    },
    {
      id: 'fast-jwt',
      remembers: false,
      make: asText,
      run: ({ token }) => fast(token),
      expected: isPayload,
    },
    {
      id: 'jose',
      remembers: false,
      make: asText,
      run: ({ token }) => jwtVerify(token, keys, options),
      expected: ({ payload }) => isPayload(payload),
    },
    {
      id: 'express-jwt',
      remembers: false,
      make: (token) => ({ method: 'GET', headers: { 'cf-access-jwt-assertion': token } }),
      run: (request) =>
        new Promise((resolve, reject) => {
          const next = (/** @type {unknown} */ error) => (error ? reject(error) : resolve(request.auth))
          void middleware(request, /** @type {any} */ ({}), next)
        }),
      expected: isPayload,
    },
    {
      id: 'hono',
      remembers: false,
      make: (token) =>
        new Request(`https://${host}/api/items`, { headers: { 'cf-access-jwt-assertion': token } }),
      run: (request) => hono.fetch(request),
      expected: (response) => response.status === 204,
    },
  ]
}
