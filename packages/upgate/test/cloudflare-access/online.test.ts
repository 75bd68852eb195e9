import { type CloudflareAccessOptions, cloudflareAccess } from 'upgate/cloudflare-access'
import { manualClock } from 'upgate/testing'
import { describe, expect, it } from 'vitest'
import { aud, context, current, issuer, jwks, team, wordOf } from './team.ts'

function online(answer: () => Promise<Response> | Response, extra: Partial<CloudflareAccessOptions> = {}) {
  const clock = manualClock()
  const asked: { url: string; init: RequestInit }[] = []
  const scheme = cloudflareAccess({
    team: 'acme',
    audience: [aud],
    online: true,
    clock,
    fetch: async (url, init) => {
      if (url.endsWith('/certs')) return jwks(current)
      asked.push({ url, init })
      return answer()
    },
    ...extra,
  })
  const tokens = team()
  const verify = async (token: string) =>
    scheme.verify({ type: 'token', source: 'edge', value: token }, context)
  return { clock, asked, verify, tokens }
}

describe('online check', () => {
  it('asks get-identity with the cookie, once a minute, and concurrent requests once', async () => {
    const { asked, verify, tokens, clock } = online(() => Response.json({ email: 'Ada@example.com' }))
    const token = tokens.user()
    const answers = await Promise.all(Array.from({ length: 20 }, () => verify(token)))
    expect(new Set(answers.map(wordOf))).toEqual(new Set(['authenticated']))
    expect(asked.map(({ url }) => url)).toEqual([`${issuer}/cdn-cgi/access/get-identity`])
    expect(asked[0]?.init).toMatchObject({
      redirect: 'manual',
      headers: { cookie: `CF_Authorization=${token}` },
    })
    clock.advance(59_999)
    await verify(token)
    expect(asked.length).toBe(1)
    clock.advance(1)
    await verify(token)
    expect(asked.length).toBe(2)
  })

  it('a logout takes effect before the token expires', async () => {
    let answer = () => Response.json({ email: 'ada@example.com' })
    const { verify, tokens, clock } = online(() => answer())
    const token = tokens.user()
    expect(wordOf(await verify(token))).toBe('authenticated')
    answer = () => Response.json({ err: 'no identity' }, { status: 403 })
    clock.advance(60_000)
    expect(wordOf(await verify(token))).toBe('revoked_credential')
  })

  it.each<[string, () => Promise<Response> | Response, string]>([
    ['another person', () => Response.json({ email: 'eve@example.com' }), 'revoked_credential'],
    ['no email', () => Response.json({}), 'revoked_credential'],
    ['400', () => new Response('', { status: 400 }), 'revoked_credential'],
    ['500', () => new Response('', { status: 500 }), 'unavailable'],
    ['429', () => new Response('', { status: 429 }), 'unavailable'],
    ['HTML', () => new Response('<html>'), 'unavailable'],
    ['redirect', () => new Response('', { status: 302 }), 'unavailable'],
    ['no network', () => Promise.reject(new Error('down')), 'unavailable'],
  ])('%s -> never open', async (_, answer, expected) => {
    const { verify, tokens } = online(answer)
    expect(wordOf(await verify(tokens.user()))).toBe(expected)
  })

  it('gives up after the timeout', async () => {
    const { verify, tokens, clock, asked } = online(() => new Promise(() => {}), { online: { timeout: 2 } })
    const answer = verify(tokens.user())
    while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve))
    clock.advance(2_000)
    expect(wordOf(await answer)).toBe('unavailable')
  })

  it('neither a forged token nor a service token is sent there', async () => {
    const { verify, tokens, asked } = online(() => Response.json({ email: 'ada@example.com' }), {
      identify: () => ({}),
    })
    const forged = tokens.user().replace(/\.[^.]+$/, '.AAAA')
    expect(wordOf(await verify(forged))).toBe('invalid_credential')
    expect(wordOf(await verify(tokens.service()))).toBe('authenticated')
    expect(asked).toEqual([])
  })
})
