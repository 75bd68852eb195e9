// An application without a framework and without any of the optional peers: a bare server, an API key, a scheme of
// its own, and a store that says which package it misses.
import { deepStrictEqual, match, rejects, strictEqual } from 'node:assert'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { apiKey, createGate, createServices, memoryStore, type Scheme } from 'upgate'
import { httpGate } from 'upgate/node'
import { closeCodes } from 'upgate/protocol'
import { sqliteStore } from 'upgate/sql'

const badge: Scheme = {
  name: 'badge',
  ambient: false,
  headers: ['x-badge'],
  extract(request) {
    const value = request.headers['x-badge']
    if (typeof value !== 'string') return undefined
    return { credential: { type: 'token', source: 'header', value }, location: 'x-badge' }
  },
  verify: (credential) =>
    credential.type === 'token' && credential.value === 'let me in'
      ? {
          outcome: 'authenticated',
          principal: { kind: 'user', id: 'ada', scheme: 'badge', scopes: [], roles: [], attributes: {} },
        }
      : { outcome: 'rejected', code: 'invalid_credential', reason: 'not the badge' },
}

const { keys } = createServices({ store: memoryStore() })
const gate = createGate({
  schemes: [badge, apiKey({ keys })],
  rules: [
    { path: '/health', access: 'public' },
    { path: '/api/*', access: 'required', kinds: ['service'] },
  ],
})
const server = createServer(
  httpGate(gate, (request, response) => {
    const id: string | undefined = gate.principalOf(request)?.id
    response.end(`hello ${id ?? 'stranger'}`)
  }),
)
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as AddressInfo
const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers })

strictEqual(await (await get('/health')).text(), 'hello stranger')
strictEqual(await (await get('/', { 'x-badge': 'let me in' })).text(), 'hello ada')
const { id, token } = await keys.create({ name: 'script' })
strictEqual(await (await get('/api/me', { 'x-api-key': token })).text(), `hello ${id}`)

const refused = await get('/')
strictEqual(refused.status, 401)
match(refused.headers.get('content-type') ?? '', /^application\/problem\+json/)
const problem = (await refused.json()) as { code: string }
deepStrictEqual(problem.code, 'auth_required')

strictEqual(closeCodes.timeout, 4408)
await rejects(sqliteStore({ file: 'records.db' }), { name: 'TypeError', message: /kysely/ })
server.close()
