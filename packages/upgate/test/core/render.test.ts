import { readFileSync } from 'node:fs'
import { refusalCodes } from 'upgate'
import type { RenderedResponse } from 'upgate/node'
import { describe, expect, it } from 'vitest'
import { refusalCatalogue } from '../../src/core/contract/refusals.ts'
import { handshake, makeGate, origin, request, upgrade } from './fixtures.ts'

const gate = makeGate({
  name: 'hub',
  login: { page: '/login' },
  setup: { page: '/setup', required: () => false },
  rules: [
    { path: ['/login', '/setup'], access: 'public' },
    { path: '/api/*', access: 'required', challenge: 'api' },
    { path: '/ws', access: 'deferred', handshake },
    { path: '/admin/*', access: 'required', scopes: ['operator.admin', 'operator.read'] },
  ],
})
const html = { accept: 'text/html,application/xhtml+xml' }

async function answer(
  req: ReturnType<typeof request>,
): Promise<RenderedResponse & { get(name: string): string | undefined }> {
  const decision = await gate.decide(req)
  if (decision.outcome === 'allow' || decision.outcome === 'defer') throw new Error('not refused')
  const rendered = gate.render(decision, req)
  return {
    ...rendered,
    get: (name) =>
      rendered.headers
        .filter(([n]) => n === name)
        .map(([, v]) => v)
        .join(' | ') || undefined,
  }
}

describe('a refusal', () => {
  it('leads a browser to the login page with where it wanted to go', async () => {
    const rendered = await answer(request('/page?a=1&b=2', { headers: html }))
    expect(rendered.status).toBe(303)
    expect(rendered.get('Location')).toBe('/login?next=%2Fpage%3Fa%3D1%26b%3D2')
    expect(rendered.get('Cache-Control')).toBe('no-store')
    expect(rendered.get('Upgate-Refusal')).toBe('auth_required; gate="hub"')
    expect(rendered.body).toBe('')
  })

  it.each(['//evil.example', 'http://evil.example/x', '/\\evil.example', '/x\\..\\y'])(
    'never leads on to %s',
    async (target) => {
      const rendered = await answer(request(target, { headers: html }))
      expect(rendered.get('Location') ?? '').not.toContain('evil')
    },
  )

  it.each([
    ['a script', {}],
    ["fetch() by the browser's word", { ...html, 'sec-fetch-mode': 'cors' }],
    ['XMLHttpRequest by its old mark', { ...html, 'x-requested-with': 'XMLHttpRequest' }],
  ])('tells %s in a problem document', async (_, headers) => {
    const rendered = await answer(request('/page', { headers }))
    expect(rendered.status).toBe(401)
    expect(rendered.get('Content-Type')).toBe('application/problem+json')
    expect(rendered.get('WWW-Authenticate')).toBe('Bearer realm="hub"')
    expect(rendered.get('Content-Length')).toBe(String(Buffer.byteLength(rendered.body)))
    expect(JSON.parse(rendered.body)).toEqual({
      type: 'urn:problem-type:upgate:auth_required',
      title: 'Unauthorized',
      status: 401,
      code: 'auth_required',
      detail: 'No credential was sent, or none that counts here.',
      action: 'Log in, or send an API key or token that this path accepts.',
    })
  })

  it('never redirects an API rule, a POST or an upgrade', async () => {
    expect((await answer(request('/api/x', { headers: html }))).status).toBe(401)
    expect((await answer(request('/page', { method: 'POST', headers: html }))).status).toBe(401)
    expect((await answer(upgrade('/any', html))).status).toBe(401)
  })

  it('does not redirect a client with a bad key: the login page cannot help there', async () => {
    const rendered = await answer(
      request('/page', { headers: { ...html, authorization: 'Bearer k_nobody' } }),
    )
    expect(rendered.status).toBe(401)
    expect(rendered.get('WWW-Authenticate')).toBe('Bearer realm="hub", error="invalid_token"')
    expect(rendered.body).toContain('<h1>Unauthorized</h1>')
  })

  it('names the scopes wanted', async () => {
    const rendered = await answer(request('/admin/x', { headers: { authorization: 'Bearer k_u' } }))
    expect(rendered.status).toBe(403)
    expect(rendered.get('WWW-Authenticate')).toBe(
      'Bearer realm="hub", error="insufficient_scope", scope="operator.admin operator.read"',
    )
  })

  it('names the protocol to upgrade to with 426, and the allowed methods with 405', async () => {
    expect(await answer(request('/ws'))).toMatchObject({
      status: 426,
      headers: expect.arrayContaining([['Upgrade', 'websocket']]),
    })
    expect(await answer(request('/x', { method: 'TRACE' }))).toMatchObject({
      status: 405,
      headers: expect.arrayContaining([['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS']]),
    })
  })

  it('has no body for HEAD, and the length of the one for GET', async () => {
    const get = await answer(request('/api/x'))
    const head = await answer(request('/api/x', { method: 'HEAD' }))
    expect(head.body).toBe('')
    expect(head.get('Content-Length')).toBe(get.get('Content-Length'))
  })

  it('can be read by a page of an allowed origin only', async () => {
    const ours = await answer(request('/api/x', { headers: { origin } }))
    expect(ours.get('Access-Control-Allow-Origin')).toBe(origin)
    expect(ours.get('Access-Control-Expose-Headers')).toContain('Upgate-Refusal')
    const theirs = await answer(request('/api/x', { headers: { origin: 'https://evil.example' } }))
    expect(theirs.get('Access-Control-Allow-Origin')).toBeUndefined()
    expect(theirs.get('Vary')).toBe('Origin')
  })

  it('answers a preflight with 204 and no body', async () => {
    const rendered = await answer(
      request('/api/x', { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'GET' } }),
    )
    expect(rendered).toMatchObject({ status: 204, body: '' })
  })

  it('escapes quoted values', async () => {
    const rendered = await answer(request('/page', { method: 'GET', headers: { ...html, host: 'x' } }))
    expect(rendered.body).not.toMatch(/<script/)
    expect(rendered.get('Content-Security-Policy')).toContain("default-src 'none'")
  })

  it('gives Retry-After with 503', async () => {
    const down = makeGate({
      setup: {
        page: '/setup',
        required: () => {
          throw new Error('down')
        },
      },
      rules: [{ path: '/setup', access: 'public' }],
    })
    const req = request('/x')
    const decision = await down.decide(req)
    if (decision.outcome !== 'unavailable') throw new Error(decision.outcome)
    expect(down.render(decision, req).headers).toContainEqual(['Retry-After', '5'])
  })
})

describe('the catalogue', () => {
  it('has words for every code, and the documentation has every code with its status', () => {
    expect(Object.keys(refusalCatalogue).sort()).toEqual([...refusalCodes].sort())
    const page = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8')
    for (const code of refusalCodes) {
      const row = page.split('\n').find((line) => line.startsWith(`| \`${code}\` |`))
      expect(row, `docs/errors.md has no row for ${code}`).toBeDefined()
      expect(row).toContain(`| ${refusalCatalogue[code].status} |`)
    }
  })
})
