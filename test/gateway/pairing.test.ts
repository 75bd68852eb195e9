import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runNode as runCommand } from './node.ts'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { TestSocket } from './socket.ts'
import { bearer, loggedIn, Visitor } from './visitor.ts'

const clockAhead = new URL('./clock-ahead.mjs', import.meta.url).href

let data: DataDir
let program: Program
let visitor: Visitor
/** Keys of the nodes of one test. */
let keys: string
const ended: (() => void)[] = []
// One gateway for all tests: each test leaves it without nodes, requests and invitations.
beforeAll(async () => {
  data = temporaryDataDir()
  program = await startProgram({ dataDir: data.path, env: { NODE_OPTIONS: `--import=${clockAhead}` } })
  visitor = await loggedIn(program.origin)
})
beforeEach(() => {
  keys = mkdtempSync(join(data.path, 'keys-'))
})
afterEach(async () => {
  for (const end of ended.splice(0)) end()
  const { requests, invitations } = await pairings()
  for (const { id } of requests) await visitor.post(`/api/pairings/${id}/reject`, {})
  for (const { id } of invitations) await visitor.delete(`/api/pairings/invitations/${id}`)
  await expect.poll(() => visitor.nodes()).toEqual([])
})
afterAll(async () => {
  await endAll()
  data.remove()
})

function runNode(
  name: string,
  code?: string,
  file = join(keys, `${name}.json`),
  scopes: readonly string[] = [],
) {
  const url = `${program.origin.replace('http', 'ws')}/ws`
  const wish = scopes.length === 0 ? [] : ['--scopes', scopes.join(',')]
  const node = runCommand(
    ['--key-file', file, '--name', name, ...wish, url],
    code === undefined ? {} : { UPGATE_CODE: code },
  )
  ended.push(() => node.kill('SIGKILL'))
  return {
    ...node,
    file,
    stop: () => {
      node.kill('SIGINT')
      return node.exited
    },
  }
}

type Pairing = Record<string, unknown> & { readonly id: string }

async function pairings(): Promise<{ requests: Pairing[]; invitations: Pairing[] }> {
  return (await visitor.get('/api/pairings')).json() as never
}

async function newCode(scopes?: readonly string[]): Promise<string> {
  const answer = await visitor.post('/api/pairings/codes', { ...(scopes && { scopes }) })
  expect(answer.status).toBe(201)
  return answer.json().code as string
}

/** Waits for the node's request, and returns it. */
async function asked(node: ReturnType<typeof runNode>): Promise<Pairing> {
  await node.printed('Comparison code: ')
  const [request] = (await pairings()).requests
  if (request === undefined) throw new Error('No device asks.')
  expect(node.output()).toContain(`Comparison code: ${request.comparisonCode}`)
  return request
}

describe('upgate node', () => {
  it('shows the code of the page, waits, and collects its token once it is approved', async () => {
    const live = new TestSocket(`${program.origin}/ws/live`, {
      cookie: visitor.cookie ?? '',
      origin: program.origin,
    })
    await live.messageOf('nodes')
    const code = await newCode()
    expect((await pairings()).invitations).toMatchObject([{ kind: 'code', scopes: [] }])
    expect(await live.messageOf('changed')).toEqual({ type: 'changed', what: 'pairings' })

    const node = runNode('kitchen', code)
    const request = await asked(node)
    expect(request).toEqual({
      id: expect.any(String),
      comparisonCode: expect.stringMatching(/^\S{6,7}$/),
      name: 'kitchen',
      role: 'node',
      scopes: [],
      grantable: [],
      introduction: 'code',
      address: '127.0.0.1',
      addressMayBeProxy: true,
      key: expect.stringMatching(/^[0-9a-f]{16}$/),
      createdAt: expect.stringMatching(/^\d{4}-/),
      askedAt: expect.stringMatching(/^\d{4}-/),
      silentFor: expect.any(Number),
      silent: false,
      expiresAt: expect.stringMatching(/^\d{4}-/),
    })
    expect(await live.messageOf('changed')).toEqual({ type: 'changed', what: 'pairings' })
    expect(await visitor.nodes()).toEqual([])

    const approved = await visitor.post(`/api/pairings/${request.id}/approve`, {})
    expect([approved.status, approved.json()]).toMatchObject([200, { name: 'kitchen', scopes: [] }])
    await node.printed('Accepted as node')
    await node.printed('Paired: the token is kept next to the key')
    expect(await visitor.nodes()).toMatchObject([{ id: approved.json().device, name: 'kitchen' }])
    expect(statSync(node.file).mode & 0o777).toBe(0o600)
    expect(existsSync(`${node.file}.new`)).toBe(false)
    expect(await pairings()).toEqual({ requests: [], invitations: [] })

    // Its key suffices from now on; the token counts as well.
    const { deviceToken } = JSON.parse(readFileSync(node.file, 'utf8')) as { deviceToken: string }
    expect(node.output()).not.toContain(deviceToken)
    expect(program.output()).not.toContain(deviceToken)
    expect(program.output()).not.toContain(code)
    expect(await node.stop()).toBe(130)
    const again = runNode('kitchen')
    await again.printed('Accepted as node')
    expect(again.output()).not.toContain('Paired')

    const lines = (await visitor.get('/api/audit')).json().lines as { event: string; by?: string }[]
    const events = lines.map((line) => line.event).filter((event) => event.startsWith('pairing_'))
    expect(events.reverse()).toEqual([
      'pairing_code_created',
      'pairing_requested',
      'pairing_approved',
      'pairing_collected',
    ])
    expect(lines.find((line) => line.event === 'pairing_approved')?.by).toBe('ada@example.com')

    // Removing the device ends its key too.
    await visitor.delete(`/api/devices/${approved.json().device}`)
    expect(await again.exited).toBe(3)
  })

  it('stops when it is rejected, without a code, and with a wrong one', async () => {
    const node = runNode('attic', await newCode())
    const request = await asked(node)
    expect((await visitor.post(`/api/pairings/${request.id}/reject`, {})).status).toBe(204)
    expect(await node.exited).toBe(3)
    expect(node.output()).toContain('pairing_rejected)')

    const uninvited = runNode('uninvited')
    expect(await uninvited.exited).toBe(3)
    expect(uninvited.output()).toContain('unknown_identity)')
    const guessing = runNode(
      'guessing',
      (await newCode()).replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
    )
    expect(await guessing.exited).toBe(3)
    expect(guessing.output()).toContain('invalid_credential)')
    expect((await pairings()).requests).toEqual([])
  })

  it('needs no code while a window is open', async () => {
    const opened = await visitor.post('/api/pairings/windows', {})
    expect([opened.status, opened.json().kind]).toEqual([201, 'window'])
    const node = runNode('cellar')
    expect(await asked(node)).toMatchObject({ introduction: 'window', name: 'cellar' })
    expect((await visitor.delete(`/api/pairings/invitations/${opened.json().id}`)).status).toBe(204)
    const late = runNode('late')
    expect(await late.exited).toBe(3)
    expect((await pairings()).requests).toHaveLength(1)
  })

  it('rejects a key file that others may read, or that holds no key', async () => {
    const first = runNode('first')
    await first.exited
    chmodSync(first.file, 0o644)
    const open = runNode('first')
    expect(await open.exited).toBe(2)
    expect(open.output()).toContain('chmod 600')
    const other = runNode('other', undefined, join(data.path, 'gateway.db'))
    expect(await other.exited).toBe(2)
    expect(other.output()).toContain('holds no key of a node')
  })
})

describe('requests of devices that are gone', () => {
  // Of two requests under one name, one of a device that was gone, the wrong one was approved.
  it('are told from those of devices that still ask, which come first', async () => {
    const gone = runNode('kitchen', await newCode())
    const { id: goneId } = await asked(gone)
    expect(await gone.stop()).toBe(130)
    const alive = runNode('kitchen', await newCode(), join(keys, 'other.json'))
    await alive.printed('Comparison code: ')
    const listed = async () =>
      (await pairings()).requests.map(({ id, name, silent }) => ({ id, name, silent }))
    const [newest] = await listed()
    expect(newest?.id).not.toBe(goneId)
    process.kill(program.pid, 'SIGUSR2')
    await expect.poll(listed).toEqual([
      { id: newest?.id, name: 'kitchen', silent: false },
      { id: goneId, name: 'kitchen', silent: true },
    ])
    const { requests } = await pairings()
    expect(requests[1]?.silentFor).toBeGreaterThanOrEqual(60)
    expect(requests[0]?.silentFor).toBeLessThan(60)
    expect(Date.parse(requests[0]?.askedAt as string)).toBeGreaterThan(
      Date.parse(requests[1]?.askedAt as string),
    )

    // Typed from the living device, its characters do not fit the request of the other one.
    const typed = await alive.comparisonCode()
    const decide = (id: unknown, comparisonCode: unknown) =>
      visitor.post(`/api/pairings/${id}/approve`, { comparisonCode })
    const wrong = await decide(goneId, typed)
    expect([wrong.status, wrong.json()]).toMatchObject([
      409,
      { code: 'code_mismatch', detail: 'The device of this request shows other characters.' },
    ])
    expect(wrong.text).not.toContain(requests[1]?.comparisonCode)
    expect((await decide(goneId, '')).json().code).toBe('code_mismatch')
    expect((await decide(goneId, 7)).json().code).toBe('invalid_body')
    expect((await decide(goneId, 'x'.repeat(65))).json().code).toBe('invalid_body')
    const right = await decide(newest?.id, ` ${typed.slice(0, 3).toLowerCase()}-${typed.slice(3)} `)
    expect(right.status).toBe(200)
    await alive.printed('Accepted as node')
    expect((await decide(newest?.id, 'wrong')).json().code).toBe('already_decided')

    const lines = (await visitor.get('/api/audit')).json().lines as Record<string, unknown>[]
    expect(lines.find(({ event }) => event === 'pairing_code_wrong')).toMatchObject({
      name: 'kitchen',
      comparisonCode: requests[1]?.comparisonCode,
      key: requests[1]?.key,
      by: 'ada@example.com',
    })
    for (const event of ['pairing_requested', 'pairing_approved', 'pairing_collected']) {
      expect(lines.find((line) => line.event === event)).toMatchObject({
        name: 'kitchen',
        comparisonCode: typed,
        key: requests[0]?.key,
      })
    }
  })
})

describe('the outcome of a request', () => {
  const outcome = async (id: unknown) => (await visitor.get(`/api/pairings/${id}`)).json()

  it('is pending, approved, then collected and connected', async () => {
    const node = runNode('kitchen', await newCode())
    const { id } = await asked(node)
    expect(await outcome(id)).toMatchObject({ id, state: 'pending', decidedBy: null, device: null })
    node.stop()
    await node.exited
    const approved = await visitor.post(`/api/pairings/${id}/approve`, { name: 'Kitchen' })
    const { device } = approved.json()
    expect(await outcome(id)).toMatchObject({
      state: 'approved',
      decidedBy: 'ada@example.com',
      device: { id: device, name: 'Kitchen', connected: false },
    })
    const back = runNode('kitchen')
    await back.printed('Accepted as node')
    await expect
      .poll(() => outcome(id))
      .toMatchObject({ state: 'collected', device: { id: device, connected: true } })
    await back.stop()
    await expect.poll(async () => (await outcome(id)).device).toMatchObject({ connected: false })
  })

  it('is rejected, or unknown', async () => {
    const rejected = runNode('one', await newCode())
    const { id } = await asked(rejected)
    await visitor.post(`/api/pairings/${id}/reject`, {})
    expect(await outcome(id)).toMatchObject({ state: 'rejected', device: null })
    await rejected.exited
    expect(await outcome('nothing')).toMatchObject({ status: 404, code: 'unknown_request' })
    const reader = await visitor.key(['operator.read'])
    const answer = await new Visitor(program.origin).get(`/api/pairings/${id}`, bearer(reader.token))
    expect([answer.status, answer.json().code]).toEqual([403, 'insufficient_scope'])
  })
})

describe('scopes', () => {
  const wish = ['operator.read', 'operator.admin']
  const asking = async (code: string) => {
    const node = runNode('kitchen', code, undefined, wish)
    return { node, request: await asked(node) }
  }

  it('are granted as chosen within the code, and open their routes', async () => {
    const { node, request } = await asking(await newCode(['operator.read']))
    expect(request).toMatchObject({ scopes: wish, grantable: ['operator.read'] })
    // A wish of the device does not extend its rights.
    const wished = await visitor.post(`/api/pairings/${request.id}/approve`, { scopes: wish })
    expect([wished.status, wished.json().code]).toEqual([403, 'beyond_invitation'])
    const approved = await visitor.post(`/api/pairings/${request.id}/approve`, { scopes: request.grantable })
    expect(approved.json()).toMatchObject({ scopes: ['operator.read'] })
    await node.printed('Paired: the token is kept next to the key')
    const { deviceToken } = JSON.parse(readFileSync(node.file, 'utf8')) as { deviceToken: string }
    const device = new Visitor(program.origin)
    expect((await device.get('/api/nodes', bearer(deviceToken))).json()).toMatchObject({
      nodes: [{ name: 'kitchen' }],
    })
    expect((await device.get('/api/keys', bearer(deviceToken))).status).toBe(403)
  })

  it('may all be left out', async () => {
    const { node, request } = await asking(await newCode(['operator.read']))
    await visitor.post(`/api/pairings/${request.id}/approve`, { scopes: [] })
    await node.printed('Paired: the token is kept next to the key')
    const { deviceToken } = JSON.parse(readFileSync(node.file, 'utf8')) as { deviceToken: string }
    const answer = await new Visitor(program.origin).get('/api/nodes', bearer(deviceToken))
    expect([answer.status, answer.json().code]).toEqual([403, 'insufficient_scope'])
  })

  it('are bounded by those of the inviting and of the approving actor', async () => {
    const pairer = bearer((await visitor.key(['operator.pairing'])).token)
    const stranger = new Visitor(program.origin)
    for (const path of ['codes', 'windows']) {
      const beyond = await stranger.post(`/api/pairings/${path}`, { scopes: ['operator.read'] }, pairer)
      expect([beyond.status, beyond.json().code]).toEqual([403, 'scope_not_held'])
      expect(
        (await stranger.post(`/api/pairings/${path}`, { scopes: ['operator.pairing'] }, pairer)).status,
      ).toBe(201)
    }
    const { request } = await asking(await newCode(wish))
    expect(request.grantable).toEqual(wish)
    const { requests } = (await stranger.get('/api/pairings', pairer)).json() as { requests: Pairing[] }
    expect(requests).toMatchObject([{ id: request.id, scopes: wish, grantable: [] }])
    const approved = await stranger.post(`/api/pairings/${request.id}/approve`, { scopes: wish }, pairer)
    expect([approved.status, approved.json().code]).toEqual([403, 'scope_not_held'])
  })

  it('that are no valid names are refused by the command itself', async () => {
    const node = runNode('kitchen', undefined, undefined, ['operator.read', 'a|b'])
    expect(await node.exited).toBe(2)
    expect(node.output()).toContain('--scopes takes names')
  })
})

describe('deciding', () => {
  it('is bounded by the scopes of the caller, and done once', async () => {
    const node = runNode('kitchen', await newCode())
    const { id } = await asked(node)
    const decide = (who: Visitor, how: string, body: unknown, token?: string) =>
      who.post(`/api/pairings/${id}/${how}`, body, token === undefined ? {} : bearer(token))

    const stranger = new Visitor(program.origin)
    expect((await decide(stranger, 'approve', {})).status).toBe(401)
    const reader = await visitor.key(['operator.read'])
    expect((await decide(stranger, 'approve', {}, reader.token)).json().code).toBe('insufficient_scope')
    const foreign = await visitor.post(
      `/api/pairings/${id}/approve`,
      {},
      { headers: { origin: 'https://evil.example' } },
    )
    expect([foreign.status, foreign.json().code]).toEqual([403, 'origin_refused'])

    const pairer = await visitor.key(['operator.pairing'])
    const more = await decide(stranger, 'approve', { scopes: ['operator.admin'] }, pairer.token)
    expect([more.status, more.json().code]).toEqual([403, 'scope_not_held'])
    // The code was made without scopes: no caller can add any.
    const beyond = await decide(visitor, 'approve', { scopes: ['operator.read'] })
    expect([beyond.status, beyond.json().code]).toEqual([403, 'beyond_invitation'])

    const both = await Promise.all([
      decide(visitor, 'approve', { name: 'one' }),
      decide(stranger, 'approve', { name: 'two' }, pairer.token),
    ])
    expect(both.map((answer) => answer.status).sort()).toEqual([200, 409])
    expect((await decide(visitor, 'approve', {})).json().code).toBe('already_decided')
    await node.printed('Accepted as node')
  })

  it.each<[string, string, unknown, number, string]>([
    ['an unknown request', 'nobody/approve', {}, 404, 'unknown_request'],
    ['a bad name', 'nobody/approve', { name: '\u202e' }, 400, 'invalid_body'],
    ['scopes that the caller does not hold', 'codes', { scopes: ['root'] }, 403, 'scope_not_held'],
    ['scopes that are not a list', 'codes', { scopes: 'root' }, 400, 'invalid_body'],
    ['no object', 'codes', [], 400, 'invalid_body'],
  ])('refuses %s', async (_what, path, body, status, code) => {
    const answer = await visitor.post(`/api/pairings/${path}`, body)
    expect([answer.status, answer.json().code]).toEqual([status, code])
  })
})

// The last test: afterwards the clocks of nodes differ too much from the gateway's.
describe('a request that is not decided', () => {
  it('has expired as its outcome', async () => {
    const gone = runNode('kitchen', await newCode())
    const { id } = await asked(gone)
    await gone.stop()
    const state = async () => {
      process.kill(program.pid, 'SIGUSR2')
      return (await visitor.get(`/api/pairings/${id}`)).json().state
    }
    await expect.poll(state).toBe('expired')
    expect((await pairings()).requests).toEqual([])
    const late = await visitor.post(`/api/pairings/${id}/approve`, {})
    expect([late.status, late.json().code]).toEqual([410, 'request_expired'])
  })
})
