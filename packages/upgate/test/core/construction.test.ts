import { createGate, type GateOptions } from 'upgate'
import { describe, expect, it } from 'vitest'
import { cookieScheme, handshake, keyScheme, makeGate } from './fixtures.ts'

const make = (options: unknown) => () => createGate(options as GateOptions & { schemes: [] })
const key = keyScheme({})

describe('misconfiguration throws at construction, naming the option and what to do', () => {
  it.each<[string, unknown, RegExp]>([
    ['no options', undefined, /`schemes` must hold at least one scheme/],
    ['no schemes', { schemes: [] }, /`schemes` must hold at least one scheme, for example/],
    [
      'an unknown option',
      { schemes: [key], rule: [] },
      /unknown option `rule`\. Did you mean `rules`\? Known options: schemes, rules/,
    ],
    ['something that is no scheme', { schemes: [{ name: 'x' }] }, /`schemes\[0\]` is not a scheme/],
    ['two schemes of one name', { schemes: [key, key] }, /two schemes named "key"/],
    [
      'an ambient scheme without origins',
      { schemes: [cookieScheme({})] },
      /`origins` is required, because the scheme "cookie"/,
    ],
    [
      'a deferred rule without origins',
      { schemes: [key], rules: [{ path: '/ws', access: 'deferred', handshake }] },
      /`origins` is required, because a rule is deferred/,
    ],
    [
      'an origin with a path',
      { schemes: [key], origins: ['https://a.example/'] },
      /`origins` has "https:\/\/a\.example\/"; write scheme, host and port/,
    ],
    [
      'an origin with its default port',
      { schemes: [key], origins: ['https://a.example:443'] },
      /browsers leave the default port out/,
    ],
    ['an origin in upper case', { schemes: [key], origins: ['https://A.example'] }, /in lower case/],
    ['a wildcard origin', { schemes: [key], origins: ['*'] }, /`origins` has "\*"/],
    [
      'an origin with a wildcard in its host',
      { schemes: [key], origins: ['https://*.example.com'] },
      /`origins` has "https:\/\/\*\.example\.com"; .* without a path or a wildcard/,
    ],
    ['a host with a scheme', { schemes: [key], hosts: ['http://x'] }, /`hosts` has "http:\/\/x"/],
    [
      'a proxy that is no address',
      { schemes: [key], trustedProxies: ['nginx'] },
      /`trustedProxies` has "nginx"/,
    ],
    [
      'a proxy range that is too long',
      { schemes: [key], trustedProxies: ['10.0.0.0/33'] },
      /`trustedProxies` has "10\.0\.0\.0\/33"/,
    ],
    [
      'a list with a hole',
      { schemes: [key], rules: [{ path: '/x', access: 'required', scopes: Object.assign([], { 1: 'a' }) }] },
      /`rules\[0\]`: `scopes` must be a non-empty list of names/,
    ],
    ['a bad name', { schemes: [key], name: 'a"b' }, /`name` must be/],
    [
      'a login page nobody may see',
      { schemes: [key], login: { page: '/login' } },
      /`login\.page` "\/login" must be a path that a public rule lets in/,
    ],
    [
      'a setup page nobody may see',
      { schemes: [key], setup: { page: '/setup', required: () => true } },
      /`setup\.page`/,
    ],
    [
      'a setup without a question',
      { schemes: [key], rules: [{ path: '/setup', access: 'public' }], setup: { page: '/setup' } },
      /`setup\.required` is missing; give it a function/,
    ],
  ])('%s', (_, options, message) => {
    expect(make(options)).toThrow(TypeError)
    expect(make(options)).toThrow(message)
  })

  it.each<[string, object, RegExp]>([
    ['an unknown option', { path: '/a', access: 'public', acces: 1 }, /`rules\[0\]`: unknown option `acces`/],
    [
      'an unknown access',
      { path: '/a', access: 'open' },
      /`access` must be 'public', 'optional', 'required' or 'deferred'/,
    ],
    [
      'no path',
      { access: 'public' },
      /a path pattern must be a string such as '\/assets\/\*' or '\/users\/:id', not undefined/,
    ],
    ['no path at all', { path: [], access: 'public' }, /`path` is an empty list/],
    ['a relative path', { path: 'a', access: 'public' }, /must start with `\/`/],
    ['a star in the middle', { path: '/a/*/b', access: 'public' }, /only as the last segment/],
    ['a path with dots', { path: '/a/../b', access: 'public' }, /is not in canonical form/],
    ['a path with a query', { path: '/a?b', access: 'public' }, /is not in canonical form/],
    ['a doubled slash before the wildcard', { path: '/a//*', access: 'public' }, /is not in canonical form/],
    ['slashes alone before the wildcard', { path: '//*', access: 'required' }, /is not in canonical form/],
    ['a doubled slash', { path: '/a//b', access: 'public' }, /is not in canonical form/],
    ['a bad parameter', { path: '/a/:b-c', access: 'public' }, /has the parameter :b-c/],
    ['a parameter twice', { path: '/:a/:a', access: 'public' }, /has the parameter :a twice/],
    [
      'a lower-case method',
      { path: '/a', access: 'public', methods: ['get'] },
      /write methods in upper case/,
    ],
    ['no methods', { path: '/a', access: 'public', methods: [] }, /`methods` must be a non-empty list/],
    [
      'an unknown kind',
      { path: '/a', access: 'required', kinds: ['robot'] },
      /`kinds` has "robot"; known kinds/,
    ],
    ['nobody', { path: '/a', access: 'required', kinds: [] }, /`kinds` must be a non-empty list/],
    [
      'an unknown scheme',
      { path: '/a', access: 'required', schemes: ['jwt'] },
      /`schemes` names "jwt", which is not among this gate's schemes: cookie, key/,
    ],
    ['deferred without handshake', { path: '/a', access: 'deferred' }, /needs a `handshake`/],
    [
      'deferred with half a handshake',
      { path: '/a', access: 'deferred', handshake: {} },
      /`handshake\.receive` must be a function/,
    ],
    [
      'deferred with a handshake whose credentials are no function',
      { path: '/a', access: 'deferred', handshake: { ...handshake, claims: true } },
      /`handshake\.claims` must be a function, or left out/,
    ],
    [
      'deferred without GET',
      { path: '/a', access: 'deferred', handshake, methods: ['POST'] },
      /can never match/,
    ],
    ['a handshake elsewhere', { path: '/a', access: 'required', handshake }, /`handshake` belongs to/],
    [
      'upgrade on a deferred path',
      { path: '/a', access: 'deferred', handshake, upgrade: true },
      /`rules\[0\]`: a deferred rule concerns upgrades anyway; leave `upgrade` out/,
    ],
    [
      'upgrade of another kind',
      { path: '/a', access: 'required', upgrade: 'http' },
      /`upgrade` must be true \(HTTP and upgrades\), false \(HTTP alone\) or 'only' \(upgrades alone\)/,
    ],
    [
      'upgrades alone without GET',
      { path: '/a', access: 'required', upgrade: 'only', methods: ['POST'] },
      /a required rule for upgrades without the method GET can never match/,
    ],
    [
      'HEAD alone',
      { path: '/a', access: 'public', methods: ['HEAD'] },
      /`methods` has HEAD only, so the rule can never match: HEAD follows the rules of GET \(write GET\)/,
    ],
    [
      'demands on a public path',
      { path: '/a', access: 'public', scopes: ['x'] },
      /a public rule demands nothing/,
    ],
  ])('a rule with %s', (_, rule, message) => {
    expect(() => makeGate({ rules: [rule as never] })).toThrow(message)
  })

  it.each<[string, string, object]>([
    ['/*', '/a', {}],
    ['/a/*', '/a/b', {}],
    ['/a/*', '/a/:x/*', {}],
    ['/:x', '/a', {}],
    ['/a', '/a', { methods: ['GET'] }],
  ])('a rule that can never match: %s takes all of %s', (first, second, extra) => {
    const rules = [
      { path: first, access: 'required' as const },
      { path: second, access: 'required' as const, ...extra },
    ]
    expect(() => makeGate({ rules })).toThrow(/`rules\[1\]` .* can never match: `rules\[0\]` .* comes first/)
  })

  it.each<[object, object]>([
    [
      { path: '/a', access: 'public', methods: ['GET'] },
      { path: '/a', access: 'required' },
    ],
    [
      { path: '/a', access: 'public' },
      { path: '/a', access: 'deferred', handshake },
    ],
    [
      { path: '/a/*', access: 'public' },
      { path: '/a', access: 'public' },
    ],
    [
      { path: '/a/b', access: 'required' },
      { path: '/a/*', access: 'public' },
    ],
    [
      { path: '/A/*', access: 'public' },
      { path: '/a/b', access: 'public' },
    ],
  ])('but not one that can: %j before %j', (first, second) => {
    expect(() => makeGate({ rules: [first as never, second as never] })).not.toThrow()
  })

  it('does not change the options it was given', () => {
    const rules = Object.freeze([Object.freeze({ path: '/a', access: 'public' as const })])
    expect(() => makeGate({ rules })).not.toThrow()
  })
})
