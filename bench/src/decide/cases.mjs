import { posix } from 'node:path'
import { createFixture, digest, gateOver, rules } from '../fixture.mjs'
import { cookieName } from '../headers.mjs'
import { freshRequest } from './requests.mjs'

/** @typedef {import('upgate').AuthRequest} AuthRequest */

/**
 * One kind of request: how it is decided by a gate, and by the smallest code that does the same work.
 *
 * @typedef {object} Case
 * @property {string} id
 * @property {() => AuthRequest} make
 * @property {boolean} [reused] The same request object over and over: everything about it is in caches
 * @property {(request: AuthRequest) => unknown} ours
 * @property {(request: AuthRequest) => unknown} floor
 * @property {(answer: any) => boolean} expected What a decision must look like, so that a refusal is not timed as an acceptance
 */

const ownRules = rules().length

/** A costly target of 2 KiB that a search of 2,500 found: almost every reading is as long as the path. */
const worst = `/%25c3%25a9x//%c3%a9/..${'//A///.//..'.repeat(178)}/%25cc%2581%252e%25252ex%ce%a3`

/** The refusal of the hand-written code. */
const refused = Object.freeze({ status: 401 })

/**
 * @param {number} manyRules Of the gate that has many
 * @returns {Promise<Case[]>}
 */
export async function createCases(manyRules) {
  const { gate, services, tokens, known } = await createFixture()
  const small = gateOver(services, 10 - ownRules)
  const large = gateOver(services, manyRules - ownRules)
  const open = new Map([['/health', true]])
  const now = Date.now

  /** @param {string} token */
  const lookUp = (token) => {
    const found = known.get(digest(token))
    return found !== undefined && found.expiresAt > now() ? found : refused
  }
  /** @param {AuthRequest} request */
  const bearer = ({ headers: { authorization } }) =>
    typeof authorization === 'string' && authorization.startsWith('Bearer ')
      ? lookUp(authorization.slice(7))
      : refused
  /** @param {AuthRequest} request */
  const cookie = ({ headers }) => {
    const header = /** @type {string} */ (headers.cookie)
    const at = header.indexOf(`${cookieName}=`)
    if (at === -1) return refused
    const from = at + cookieName.length + 1
    const end = header.indexOf(';', from)
    return lookUp(header.slice(from, end === -1 ? undefined : end))
  }
  /** @param {AuthRequest} request */
  const exact = (request) => open.get(request.target)
  /** @param {AuthRequest} request */
  const prefix = (request) =>
    request.target.startsWith('/assets/') && !request.target.includes('..') ? true : refused
  /** @param {AuthRequest} request */
  const noMatch = (request) =>
    open.get(request.target) ?? (request.headers.authorization === undefined ? refused : lookUp(''))
  /** @param {AuthRequest} request */
  const normalise = ({ target }) => {
    try {
      return open.get(posix.normalize(decodeURIComponent(target))) ?? refused
    } catch {
      return refused
    }
  }

  const ours = gate.decide
  // The gate remembers the last hostile target.
  let last = 'x'
  const other = () => (last = last === 'x' ? 'y' : 'x')
  const allowed = (/** @type {any} */ decision) => decision.outcome === 'allow'
  const proved = (/** @type {any} */ decision) =>
    decision.outcome === 'allow' && decision.principal !== undefined
  const challenged = (/** @type {any} */ decision) => decision.outcome === 'challenge'
  const cookies = `theme=dark; lang=en; ${cookieName}=${tokens.session}; _ga=GA1.2.1234567890.1700000000; consent=yes`
  const withKey = () => freshRequest('/api/items', [['Authorization', `Bearer ${tokens.key}`]])
  const asset = () => freshRequest('/assets/app.3f9c2b.css')

  return [
    {
      id: 'exact-reused',
      reused: true,
      make: () => freshRequest('/health'),
      ours,
      floor: exact,
      expected: allowed,
    },
    {
      id: 'exact',
      make: () => freshRequest('/health'),
      ours,
      floor: exact,
      expected: allowed,
    },
    {
      id: 'prefix',
      make: asset,
      ours,
      floor: prefix,
      expected: allowed,
    },
    {
      id: 'key',
      make: withKey,
      ours,
      floor: bearer,
      expected: proved,
    },
    {
      id: 'session',
      make: () => freshRequest('/api/items', [['Cookie', cookies]]),
      ours,
      floor: cookie,
      expected: proved,
    },
    {
      id: 'device',
      make: () => freshRequest('/api/nodes/self', [['Authorization', `Bearer ${tokens.devices[0]}`]]),
      ours,
      floor: bearer,
      expected: proved,
    },
    {
      id: 'none',
      make: () => freshRequest('/somewhere/else'),
      ours,
      floor: noMatch,
      expected: challenged,
    },
    {
      id: 'hostile',
      make: () => freshRequest(`/assets/..%2f%2e%2e//api/admin/%252e%252e/${other()}`),
      ours,
      floor: normalise,
      expected: (decision) => decision.outcome !== 'allow',
    },
    {
      id: 'hostile-2048',
      make: () => freshRequest(`${worst}${other()}`),
      ours,
      floor: normalise,
      expected: (decision) => decision.outcome === 'invalid',
    },
    {
      id: 'prefix-10000',
      make: asset,
      ours: large.decide,
      floor: small.decide,
      expected: allowed,
    },
    {
      id: 'key-10000',
      make: withKey,
      ours: large.decide,
      floor: small.decide,
      expected: proved,
    },
  ]
}
