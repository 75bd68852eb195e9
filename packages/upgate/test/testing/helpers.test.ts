import { createServer } from 'node:http'
import { createGate } from 'upgate'
import { asPrincipal, assertGuarded } from 'upgate/testing'
import { guardServer } from 'upgate/ws'
import { describe, expect, it } from 'vitest'
import { request, verdict } from '../core/fixtures.ts'

describe('asPrincipal', () => {
  const alice = asPrincipal({ id: 'alice', scopes: ['operator.admin'] })
  const bob = asPrincipal({ id: 'bob' })
  const gate = createGate({
    schemes: [alice.scheme, bob.scheme],
    rules: [{ path: '/admin/*', access: 'required', scopes: ['operator.admin'] }],
  })

  it('is a principal to the real engine, with the rights of its record and no more', async () => {
    expect(await verdict(gate, request('/admin/x', { headers: alice.headers }))).toBe('allow')
    expect(await verdict(gate, request('/admin/x', { headers: bob.headers }))).toBe(
      'forbid insufficient_scope',
    )
    expect(await verdict(gate, request('/any', { headers: bob.headers }))).toBe('allow')
  })

  it('cannot be guessed by a client that finds it left in', async () => {
    const headers = { authorization: 'Bearer test_alice' }
    expect(await verdict(gate, request('/any', { headers }))).toBe('challenge invalid_credential')
    expect(await verdict(gate, request('/any'))).toBe('challenge auth_required')
  })
})

describe('assertGuarded', () => {
  it('throws until a gate guards the server, and again when it does no more', async () => {
    const server = createServer()
    expect(() => assertGuarded(server)).toThrow(/No gate guards this server.*Call guardServer/)
    const guard = guardServer(server, createGate({ schemes: [asPrincipal({ id: 'a' }).scheme] }))
    expect(() => assertGuarded(server)).not.toThrow()
    await guard.close()
    expect(() => assertGuarded(server)).toThrow(/No gate guards/)
  })

  it('throws for a path that is open and not listed, and for one that is listed and not open', () => {
    const server = createServer()
    const { scheme } = asPrincipal({ id: 'a' })
    const gate = createGate({
      schemes: [scheme],
      rules: [
        { path: '/health', access: 'public' },
        { path: '/posts/*', access: 'optional', methods: ['GET'], upgrade: true },
        { path: '/live', access: 'public', upgrade: 'only' },
        { path: '/api/*', access: 'required' },
      ],
    })
    guardServer(server, gate)
    expect(() => assertGuarded(server, { open: ['/live', '/health', '/posts/*'] })).not.toThrow()
    expect(() => assertGuarded(server, { open: ['/live', '/posts/*'] })).toThrow(
      '/health is open to anyone and not in `open`. If that is meant, add it there; if not, see `rules[0]` of the gate.',
    )
    expect(() => assertGuarded(server, { open: ['/live', '/health'] })).toThrow(
      '/posts/* (GET) is open to anyone',
    )
    expect(() => assertGuarded(server, { open: ['/health', '/posts/*'] })).toThrow(
      '/live (WebSocket upgrades) is open to anyone',
    )
    expect(() => assertGuarded(server, { open: ['/live', '/health', '/posts/*', '/api/*'] })).toThrow(
      '/api/* is in `open`, and no rule opens it as written there.',
    )
    // A second gate opens nothing that the first one does not, and has to be listed all the same.
    guardServer(server, createGate({ schemes: [scheme], rules: [{ path: '/other', access: 'public' }] }))
    expect(() => assertGuarded(server, { open: ['/live', '/health', '/posts/*'] })).toThrow('/other is open')
  })
})
