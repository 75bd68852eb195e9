import { cloudflareAccess } from 'upgate/cloudflare-access'
import { expect, it } from 'vitest'
import { aud, context, current, jwks, team, wordOf } from './team.ts'

const good = { team: 'acme', audience: [aud] }
const grant = { scopes: [] }

it.each<[string, object, string]>([
  ['neither team nor issuer', { team: undefined }, "give either `team` (such as 'acme') or `issuer`"],
  ['both', { issuer: 'https://acme.cloudflareaccess.com' }, 'not both'],
  ['a domain as team', { team: 'acme.cloudflareaccess.com' }, '`team` must be the bare team name'],
  ['a URL as team', { team: 'https://acme' }, '`team` must be the bare team name'],
  ['an empty team', { team: '' }, '`team` must be the bare team name'],
  ['an upper-case team', { team: 'Acme' }, '`team` must be the bare team name'],
  [
    'issuer with slash',
    { team: undefined, issuer: 'https://acme.cloudflareaccess.com/' },
    '`issuer` must be the exact',
  ],
  [
    'issuer over http',
    { team: undefined, issuer: 'http://acme.cloudflareaccess.com' },
    '`issuer` must be the exact',
  ],
  [
    'issuer with path',
    { team: undefined, issuer: 'https://acme.cloudflareaccess.com/x' },
    '`issuer` must be',
  ],
  [
    'issuer with user',
    { team: undefined, issuer: 'https://a@acme.cloudflareaccess.com' },
    '`issuer` must be',
  ],
  [
    'issuer in upper case',
    { team: undefined, issuer: 'https://ACME.cloudflareaccess.com' },
    '`issuer` must be',
  ],
  ['issuer without scheme', { team: undefined, issuer: 'acme.cloudflareaccess.com' }, '`issuer` must be'],
  ['no audience', { audience: undefined }, '`audience` is missing; give it an array'],
  ['empty audience', { audience: [] }, '`audience` must be an array'],
  ['audience as a string', { audience: aud }, '`audience` must be an array'],
  [
    'an unset variable as audience',
    { audience: [undefined] },
    '`audience` must be an array with the AUD tag of at least one Access application',
  ],
  [
    'an empty AUD',
    { audience: [aud, ''] },
    '`audience` must be an array with the AUD tag of at least one Access application',
  ],
  [
    'two AUDs in one string',
    { audience: [`${aud},${aud}`] },
    '`audience` must be an array with the AUD tag of at least one Access application',
  ],
  [
    'negative tolerance',
    { clockTolerance: -1 },
    '`clockTolerance` must be a number of seconds from 0 to 300',
  ],
  [
    'tolerance in milliseconds',
    { clockTolerance: 30_000 },
    '`clockTolerance` must be a number of seconds from 0 to 300',
  ],
  [
    'tolerance as a string',
    { clockTolerance: '30' },
    '`clockTolerance` must be a number of seconds from 0 to 300',
  ],
  [
    'an identify without a time-out',
    { identifyTimeout: 0 },
    '`identifyTimeout` must be a number of seconds from 0.1',
  ],
  ['ttl beyond a minute', { cache: { ttl: 3_600 } }, '`cache.ttl` must be a number of seconds from 0 to 60'],
  ['a cache of one', { cache: { entries: 1 } }, '`cache.entries` must be a whole number from 2'],
  [
    'unordered ages',
    { keys: { refreshAfter: 100, maxAge: 50 } },
    '`keys.maxAge` must be a number of seconds from 100',
  ],
  ['no age limit', { keys: { maxStale: Number.POSITIVE_INFINITY } }, '`keys.maxStale` must be'],
  ['no cooldown', { keys: { cooldown: 0 } }, '`keys.cooldown` must be a number of seconds from 1'],
  ['unknown option', { audiences: [aud] }, 'unknown option `audiences`'],
  ['unknown key option', { keys: { coolDown: 1 } }, 'unknown option `coolDown`'],
  ['unknown cache option', { cache: { size: 1 } }, 'unknown option `size`'],
  ['unknown online option', { online: { interval: 1 } }, 'unknown option `interval`'],
  ['identify that is no function', { identify: {} }, '`identify` must be a function'],
  ['notBefore that is no function', { notBefore: 7 }, '`notBefore` must be a function'],
  [
    'a service without scopes',
    { services: { 'a.access': {} } },
    '`services["a.access"].scopes` is missing; give it a list of names',
  ],
  ['a service without a name', { services: { '': grant } }, '`services` has an empty client id'],
  ['a service with a typo', { services: { 'a.access': { ...grant, role: ['x'] } } }, 'unknown option `role`'],
  ['a service that is null', { services: { 'a.access': null } }, '`services["a.access"]` must be an object'],
  ['an empty name', { name: '' }, '`name` must be a non-empty string'],
  ['a simulator elsewhere', { dangerouslyTrustSimulatorAt: 'http://10.0.0.1' }, 'must be a loopback origin'],
  [
    'a simulator that only looks local',
    { dangerouslyTrustSimulatorAt: 'http://127.0.0.1.evil.example' },
    'must be a loopback origin',
  ],
  [
    'a simulator with a path',
    { dangerouslyTrustSimulatorAt: 'http://127.0.0.1:1/x' },
    'must be a loopback origin',
  ],
])('refuses to start with %s', (_, wrong, message) => {
  const options = { ...good, ...wrong } as never
  expect(() => cloudflareAccess(options)).toThrow(TypeError)
  expect(() => cloudflareAccess(options)).toThrow(message)
})

it('takes keys from a simulator on loopback if configured, for the same issuer', async () => {
  const acme = team()
  const fetched: string[] = []
  const scheme = cloudflareAccess({
    ...good,
    clock: acme.clock,
    dangerouslyTrustSimulatorAt: 'http://127.0.0.1:8788',
    fetch: async (url, init) => {
      fetched.push(url)
      expect(init.headers).toMatchObject({ 'edge-sim-host': 'acme.cloudflareaccess.com' })
      return jwks(current)
    },
  })
  const answer = await scheme.verify({ type: 'token', source: 'edge', value: acme.user() }, context)
  expect(wordOf(answer)).toBe('authenticated')
  expect(fetched).toEqual(['http://127.0.0.1:8788/cdn-cgi/access/certs'])
})

it('does not change its options, and does not follow later changes to them', async () => {
  const services = { 'a.access': { scopes: ['read'] } }
  const audience = [aud]
  const acme = team({ services, audience })
  services['a.access'].scopes.push('admin')
  audience.push('anything')
  expect(await acme.verify(acme.service({ common_name: 'a.access' }))).toMatchObject({
    principal: { scopes: ['read'] },
  })
  expect(wordOf(await acme.verify(acme.user({ aud: 'anything' })))).toBe('invalid_credential')
})
