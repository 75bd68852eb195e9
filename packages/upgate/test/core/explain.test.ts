import { describe, expect, it } from 'vitest'
import { cookieScheme, handshake, keyScheme, makeGate, origin, person, request, upgrade } from './fixtures.ts'

const gate = makeGate({
  rules: [
    { path: '/health', access: 'public' },
    { path: '/ws', access: 'deferred', kinds: ['device'], handshake },
    { path: '/admin/*', access: 'required', scopes: ['operator.admin'] },
  ],
})

async function lines(req: ReturnType<typeof request>): Promise<string> {
  const { steps } = await gate.explain(req)
  return steps.map(({ step, detail }) => `${step}: ${detail}`).join('\n')
}

describe('explain', () => {
  it('tells why each rule did not match, the findings, and the decision', async () => {
    expect(await lines(request('/admin/x', { headers: { authorization: 'Bearer k_u' } }))).toBe(
      [
        'request: http GET',
        'client: 203.0.113.7',
        'target: /admin/x is in canonical form',
        'rules[0] /health: does not match: the path is another',
        'rules[1] /ws: does not match: the path is another',
        'rules[2] /admin/*: matches',
        'origin: absent',
        'scheme key: authorization: authenticated, user u',
        'rule: /admin/*: required, kinds user, scopes operator.admin',
        'decision: forbid: insufficient_scope. The credential lacks: operator.admin.',
      ].join('\n'),
    )
  })

  it('tells why a target that is not canonical misses a permissive rule', async () => {
    const text = await lines(request('//health'))
    expect(text).toContain('is not in canonical form; it may be read as "//health", "/", "/health"')
    expect(text).toContain('rules[0] /health: does not match: the target is not in canonical form')
  })

  it('tells that a cookie was dropped for want of an Origin', async () => {
    expect(await lines(upgrade('/ws', { cookie: 'sid=u' }))).toContain(
      'scheme cookie: cookie sid dropped: it is ambient, and the Origin does not allow it',
    )
    expect(await lines(upgrade('/ws', { cookie: 'sid=u', origin }))).toContain(
      'scheme cookie: cookie sid: authenticated, user u',
    )
  })

  it('holds no secret, neither a good one nor a bad one', async () => {
    for (const secret of ['k_admin', 'k_wrong-secret', 'Basic c2VjcmV0']) {
      const explanation = await gate.explain(
        request('/any?token=k_query', {
          headers: {
            authorization: secret.startsWith('k_') ? `Bearer ${secret}` : secret,
            cookie: 'sid=verysecret',
          },
        }),
      )
      const text = JSON.stringify(explanation)
      for (const part of ['k_admin', 'k_wrong', 'c2VjcmV0', 'k_query', 'verysecret'])
        expect(text).not.toContain(part)
    }
  })

  it('verifies without any effect', async () => {
    const seen: boolean[] = []
    const dry = makeGate({
      schemes: [
        keyScheme(
          {},
          {
            verify: (_, context) => {
              seen.push(context.dryRun)
              return { outcome: 'authenticated', principal: person('u') }
            },
          },
        ),
        cookieScheme({}),
      ],
    })
    const req = request('/any', { headers: { authorization: 'Bearer k_u' } })
    await dry.explain(req)
    await dry.decide(req)
    expect(seen).toEqual([true, false])
  })

  it('says the same as the decision itself', async () => {
    for (const req of [
      request('/health'),
      request('/any'),
      upgrade('/ws'),
      request('/%2e%2e/admin'),
      request('*'),
      request('/x', { method: 'TRACE' }),
    ]) {
      const [explained, decided] = [(await gate.explain(req)).decision, await gate.decide(req)]
      expect([explained.outcome, 'code' in explained && explained.code]).toEqual([
        decided.outcome,
        'code' in decided && decided.code,
      ])
    }
  })
})
