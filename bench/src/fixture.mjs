import { hash } from 'node:crypto'
import { apiKey, createGate, createServices, deviceToken, memoryStore, sessionCookie } from 'upgate'
import { upgateHandshake } from 'upgate/ws'
import { host } from './headers.mjs'

// The application all suites measure: three schemes, a handful of rules, records in memory.

/** @returns {{ path: string, access: 'public' | 'required' | 'deferred', kinds?: any, scopes?: string[], handshake?: any }[]} */
export function rules() {
  return [
    { path: '/health', access: 'public' },
    { path: '/assets/*', access: 'public' },
    { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
    { path: '/api/admin/*', access: 'required', kinds: ['user', 'service'], scopes: ['operator.admin'] },
    { path: '/api/nodes/*', access: 'required', kinds: ['device'] },
    { path: '/api/*', access: 'required', kinds: ['user', 'service'], scopes: ['items.read'] },
  ]
}

/**
 * A gate, its credentials, and what hand-written code would keep of them: principals by digest.
 *
 * @param {{ devices?: number }} [options]
 */
export async function createFixture({ devices = 1 } = {}) {
  const services = createServices({ store: memoryStore() })
  const scopes = ['items.read', 'items.write']
  const made = await services.accounts.create({ email: 'alice@example.com', scopes })
  if (made.outcome !== 'done') throw new Error(made.reason)
  const session = await services.sessions.create(made.account.id)
  if (session === undefined) throw new Error('no session')
  const key = await services.keys.create({ name: 'deploy', scopes })
  const nodes = await Promise.all(
    Array.from({ length: devices }, (_, i) =>
      services.devices.create({ name: `node ${i}`, scopes: ['node'] }),
    ),
  )
  const tokens = { session: session.token, key: key.token, devices: nodes.map((node) => node.token) }
  /** @type {Map<string, { id: string, expiresAt: number }>} */
  const known = new Map()
  for (const token of [tokens.session, tokens.key, ...tokens.devices]) {
    known.set(digest(token), { id: 'somebody', expiresAt: Number.POSITIVE_INFINITY })
  }
  return { gate: gateOver(services), services, tokens, deviceIds: nodes.map((node) => node.id), known }
}

/**
 * The gate of the application, over these services.
 *
 * @param {import('upgate').Services} services
 * @param {number} [furtherRules] Rules before its own that match nothing measured here
 */
export function gateOver(services, furtherRules = 0) {
  return createGate({
    origins: [`https://${host}`],
    trustedProxies: ['loopback'],
    schemes: [
      sessionCookie({ sessions: services.sessions }),
      apiKey({ keys: services.keys }),
      deviceToken({ devices: services.devices }),
    ],
    rules: [...tenantRules(furtherRules), ...rules()],
  })
}

/** @param {number} count */
function tenantRules(count) {
  return Array.from({ length: count }, (_, i) => ({
    path: i % 2 === 0 ? `/tenant-${i}/items` : `/tenant-${i}/files/*`,
    access: /** @type {'public' | 'required'} */ (i % 3 === 0 ? 'public' : 'required'),
  }))
}

/**
 * The digest as the smallest hand-written code makes it: the fastest call Node has for it.
 *
 * @param {string} token
 */
export function digest(token) {
  return hash('sha256', token, 'base64url')
}
