/*
 * The clock of the server is behind, and a token of Access that was issued just now is not valid yet: the operator reads by how
 * many seconds, from the Date of the answer with the signing keys, and the client is told nothing of it.
 */
import { readFileSync } from 'node:fs'
import { requestOf } from 'upgate/node'
import { manualClock } from 'upgate/testing'
import { expect, it } from 'vitest'
import { type Behind, cleanUp, site, startBehind } from './edge.ts'

cleanUp()

const guide = readFileSync(new URL('../../docs/guide-proxies.md', import.meta.url), 'utf8')
const start = Date.UTC(2026, 9, 1)

/** The clock of the edge is ahead of the server's. */
async function aheadBy(seconds: number): Promise<Behind> {
  const clock = manualClock(start + seconds * 1_000)
  const behind: Behind = await startBehind(
    {
      async fetch(url, init) {
        const answer = await behind.sim.fetch(url, init)
        const headers = new Headers(answer.headers)
        headers.set('date', new Date(clock.now()).toUTCString())
        return new Response(answer.body, { status: answer.status, headers })
      },
    },
    { clock },
  )
  return behind
}

it('tells the operator by how much the clock is behind: event, log and `explain`, not the client', async () => {
  const behind = await aheadBy(300)
  const reasons: (string | undefined)[] = []
  behind.gate.events.subscribe((event) => {
    if (event.type === 'refused') reasons.push(event.reason)
  })
  const token = await behind.sim.issueUserToken('gateway', 'ada@example.com')
  const { status, body } = await behind.get('/api/me', { cookie: `CF_Authorization=${token}` })
  expect([status, body.code]).toEqual([401, 'invalid_credential'])
  expect(JSON.stringify(body)).not.toMatch(/clock|behind|300/)
  const sentence =
    'The scheme cloudflare-access says: the token is not valid yet (nbf, iat): it begins 300 s later than the clock of this server; by the Date of the answer with the signing keys, the clock of this server is 300 s behind.'
  expect(reasons).toEqual([expect.stringContaining(sentence)])
  expect(guide).toContain(`| ${sentence} |`)
  const asked = { method: 'GET', url: '/api/me', headers: { host: new URL(site).host }, socket: {} }
  const headers = { ...asked.headers, 'cf-access-jwt-assertion': token }
  const request = { ...asked, headers, rawHeaders: Object.entries(headers).flat() }
  const { steps } = await behind.gate.explain(requestOf(request as never))
  expect(steps.map(({ detail }) => detail).join('\n')).toContain(sentence)
})

it('lets a token in that is a few seconds early', async () => {
  const behind = await aheadBy(5)
  const cookie = `CF_Authorization=${await behind.sim.issueUserToken('gateway', 'ada@example.com')}`
  expect((await behind.get('/api/me', { cookie })).status).toBe(200)
})
