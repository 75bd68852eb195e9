/*
 * The browser steps of an OAuth login pass the edge; the token request, sent by a server with a library's user agent,
 * is swallowed by its bot filter. All the server sees is a code that no client redeems. It should say so.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CodeNotRedeemed, createCodeWatch, watchCodes } from 'upgate/oauth'
import { manualClock } from 'upgate/testing'
import { describe, expect, it } from 'vitest'

function watched(options: { within?: number; maxEntries?: number } = {}) {
  const clock = manualClock()
  const events: CodeNotRedeemed[] = []
  const watch = createCodeWatch({ clock, onNotRedeemed: (event) => events.push(event), ...options })
  return { clock, events, watch }
}

describe('a watch over authorization codes', () => {
  it('is silent about codes that are redeemed in time', () => {
    const { clock, events, watch } = watched()
    watch.issued('a', 'client')
    clock.advance(59_999)
    watch.redeemed('a')
    clock.advance(600_000)
    expect(events).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('reports each one that is not, and advises from the second time on', () => {
    const { clock, events, watch } = watched()
    watch.issued('a', 'client')
    clock.advance(30_000)
    watch.issued('b', 'client')
    clock.advance(30_000)
    expect(events).toMatchObject([{ clientId: 'client', count: 1, advice: undefined }])
    clock.advance(30_000)
    expect(events[1]).toMatchObject({ count: 2 })
    expect(events[1]?.advice).toContain('Bot Fight Mode')
  })

  it('counts per client, and starts again when one gets through', () => {
    const { clock, events, watch } = watched()
    watch.issued('a', 'one')
    watch.issued('b', 'two')
    clock.advance(60_000)
    watch.issued('c', 'one')
    watch.redeemed('c')
    watch.issued('d', 'one')
    clock.advance(60_000)
    expect(events.map(({ clientId, count }) => `${clientId} ${count}`)).toEqual(['one 1', 'two 1', 'one 1'])
  })

  it('remembers a bounded number of codes and clients', () => {
    const { clock, events, watch } = watched({ maxEntries: 10 })
    for (let i = 0; i < 1000; i++) watch.issued(`code ${i}`, `client ${i}`)
    clock.advance(60_000)
    expect(events).toHaveLength(10)
    expect(events.at(-1)?.clientId).toBe('client 999')
  })

  it('holds no code in its reports', () => {
    const { clock, events, watch } = watched()
    watch.issued('very-secret-code', 'client')
    clock.advance(60_000)
    expect(JSON.stringify(events)).not.toContain('very-secret-code')
  })

  it('stops when it is closed', () => {
    const { clock, events, watch } = watched()
    watch.issued('a', 'client')
    watch.close()
    clock.advance(60_000)
    expect(events).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it.each<[object, RegExp]>([
    [{}, /`onNotRedeemed` is missing; give it a function/],
    [
      { onNotRedeemed() {}, within: 5 },
      /`within` must be a whole number of milliseconds from 1,000 to 600,000, not 5/,
    ],
    [{ onNotRedeemed() {}, maxEntries: 0 }, /`maxEntries` must be a whole number from 1/],
    [{ onNotRedeemed() {}, timeout: 1 }, /unknown option `timeout`/],
  ])('checks its options: %j', (options, message) => {
    expect(() => createCodeWatch(options as never)).toThrow(message)
  })
})

describe('watching from outside', () => {
  it('learns of codes from redirects and of redemptions from answered token requests', async () => {
    const { clock, events, watch } = watched()
    const look = watchCodes(watch, { authorize: '/authorize', token: '/token' })
    const server = createServer((request, response) => {
      look(request, response, () => {
        const url = new URL(request.url ?? '', 'http://localhost')
        if (url.pathname.startsWith('/authorize')) {
          response.writeHead(302, {
            location: `https://client.example/cb${url.searchParams.get('sep')}code=${url.searchParams.get('c')}&state=x`,
          })
        } else if (url.pathname === '/token') {
          ;(request as { body?: unknown }).body = { code: url.searchParams.get('c') }
          response.statusCode = url.searchParams.has('fail') ? 400 : 200
        }
        response.end()
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const get = (path: string, method = 'GET') => fetch(base + path, { method, redirect: 'manual' })
    await get('/authorize?client_id=good&c=1&sep=?')
    await get('/authorize?client_id=fragment&c=2&sep=%23')
    await get('/authorize?client_id=lost&c=3&sep=?')
    await get('/authorize/resumed?c=4&sep=?')
    await get('/authorized?client_id=elsewhere&c=5&sep=?')
    await get('/token?c=1', 'POST')
    await get('/token?c=2', 'POST')
    await get('/token?c=3&fail', 'POST')
    server.close()
    clock.advance(60_000)
    expect(events.map(({ clientId }) => clientId)).toEqual(['lost', 'unknown'])
  })
})
