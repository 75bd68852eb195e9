import { describe, expect, it } from 'vitest'
import { createGate, sharedToken } from '../../src/index.ts'

const gate = createGate({
  schemes: [sharedToken({ token: 'a-token-of-some-length', principal: { kind: 'user', id: 'ada' } })],
})
const request = (authorization?: string) => ({
  kind: 'http' as const,
  method: 'GET',
  target: '/anything',
  headers: authorization === undefined ? {} : { authorization },
  rawHeaders: authorization === undefined ? [] : ['Authorization', authorization],
  encrypted: false,
})

// The type of its options listed two that it refused as unknown: the list of names was written a second time by hand.
describe('gate.require', () => {
  it('names the metadata of the protected resource in its challenge', async () => {
    const resourceMetadata = 'https://api.example.com/.well-known/oauth-protected-resource'
    const decider = gate.require({ resourceMetadata })
    const decision = await decider.decide(request())
    if (decision.outcome !== 'challenge') throw new Error(decision.outcome)
    const { status, headers } = decider.render(decision, request())
    expect(status).toBe(401)
    expect(headers.map(([, value]) => value).join()).toContain(`resource_metadata="${resourceMetadata}"`)
  })

  it('demands that the edge agrees', async () => {
    const decision = await gate
      .require({ agreesWithEdge: () => true })
      .decide(request('Bearer a-token-of-some-length'))
    expect(decision).toMatchObject({ outcome: 'forbid', code: 'edge_mismatch' })
  })

  it('goes on naming an unknown option', () => {
    expect(() => gate.require({ scope: ['a'] } as never)).toThrow(/^gate\.require: unknown option `scope`/)
  })
})
