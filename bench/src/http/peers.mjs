/**
 * Other libraries, each on the framework that it is for, and Upgate there: programs of `bench/peers`.
 *
 * @typedef {object} Peer
 * @property {string} id
 * @property {string} library Its name on npm; the rest of a name on the page is after a comma
 * @property {string} name As on the page
 * @property {string} credential
 * @property {'http' | 'express' | 'fastify' | 'hono'} framework
 * @property {string} guard As `bench/peers/http` calls it; nothing for a sample of the other suite
 * @property {Amount} [amount] Requests, where the library is much slower than its framework
 */

/** @typedef {{ warm: number, load: number }} Amount */

/** @type {readonly Peer[]} */
export const peers = [
  peer('http', 'upgate-session', 'upgate', 'Upgate', 'session cookie'),
  peer('http', 'fast-jwt-cache', 'fast-jwt', 'fast-jwt, with its cache', 'JWT, RS256'),
  peer('http', 'fast-jwt', 'fast-jwt', 'fast-jwt', 'JWT, RS256', { warm: 3000, load: 3000 }),
  peer('express', 'upgate-session', 'upgate', 'Upgate', 'session cookie'),
  peer('express', 'passport-http-bearer', 'passport-http-bearer', 'passport-http-bearer', 'opaque token'),
  peer('express', 'passport-session', 'passport', 'passport + express-session, in memory', 'session cookie'),
  peer('express', 'express-jwt', 'express-jwt', 'express-jwt', 'JWT, RS256', { warm: 1500, load: 1000 }),
  peer('express', 'better-auth-key', 'better-auth', 'better-auth, `verifyApiKey`, in memory', 'API key', {
    warm: 700,
    load: 400,
  }),
  peer(
    'express',
    'better-auth-session',
    'better-auth',
    'better-auth, `getSession`, in memory',
    'session cookie',
    { warm: 900, load: 500 },
  ),
  peer('fastify', 'bare', 'fastify', 'bare Fastify', 'none'),
  peer('fastify', 'upgate-key', 'upgate', 'Upgate', 'API key'),
  peer('fastify', 'bearer-auth', '@fastify/bearer-auth', '@fastify/bearer-auth', 'opaque token'),
  peer('hono', 'bare', 'hono', 'bare Hono on Node', 'none'),
  peer('hono', 'upgate-key', 'upgate', 'Upgate', 'API key'),
  peer('hono', 'bearer-auth', 'hono', 'hono, `bearerAuth`', 'opaque token', { warm: 3000, load: 2500 }),
  peer('hono', 'jwt', 'hono', 'hono, `jwt`', 'JWT, RS256', { warm: 1500, load: 1000 }),
]

/**
 * @param {Peer['framework']} framework
 * @param {string} guard
 * @param {string} library
 * @param {string} name
 * @param {string} credential
 * @param {Amount} [amount]
 * @returns {Peer}
 */
function peer(framework, guard, library, name, credential, amount) {
  return {
    id: `${framework} peer ${guard}`,
    framework,
    guard,
    library,
    name,
    credential,
    ...(amount && { amount }),
  }
}

/** Enough to see libraries answer. */
export const essentialPeers = peers.filter(
  ({ guard }) => guard === 'bearer-auth' || guard === 'better-auth-key',
)
