import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { bearer, loggedIn, Visitor } from './visitor.ts'

/* Who may set the connection to another gateway, and what is refused before it is stored. */

let data: DataDir
let here: Program
let ada: Visitor
beforeAll(async () => {
  data = temporaryDataDir()
  here = await startProgram({ dataDir: data.path, env: { REMOTE_ALLOW: '127.0.0.1' } })
  ada = await loggedIn(here.origin)
})
afterAll(async () => {
  await endAll()
  data.remove()
})

const view = async (): Promise<Record<string, unknown>> => (await ada.get('/api/remote')).json()

describe('access', () => {
  it('is for admins, from our own pages', async () => {
    const body = { url: 'wss://gateway.example.com/ws', token: 'ugd_x' }
    const nobody = new Visitor(here.origin)
    expect((await nobody.get('/api/remote')).status).toBe(401)
    expect((await nobody.post('/api/remote', body)).status).toBe(401)
    expect((await nobody.delete('/api/remote')).status).toBe(401)
    const reader = await ada.key(['operator.read', 'operator.pairing'])
    for (const method of ['GET', 'POST', 'DELETE']) {
      const answer = await nobody.request(method, '/api/remote', { body, ...bearer(reader.token) })
      expect([answer.status, answer.json().code], method).toEqual([403, 'insufficient_scope'])
      if (method === 'GET') continue
      const foreign = await ada.request(method, '/api/remote', {
        body,
        headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
      })
      expect([foreign.status, foreign.json().code], method).toEqual([403, 'origin_refused'])
    }
    const form = await ada.request('POST', '/api/remote', {
      raw: 'url=ws://127.0.0.1/',
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '19' },
    })
    expect(form.status).toBe(415)
    expect(await view()).toMatchObject({ state: 'off' })
    expect((await nobody.get('/remote', { headers: { accept: 'text/html' } })).status).toBe(303)
  })
})

describe('bad input', () => {
  it.each([
    ['no URL', {}, 'invalid_url'],
    ['another scheme', { url: 'ftp://gateway.example.com' }, 'invalid_url'],
    ['a socket of the system', { url: 'ws+unix:///var/run/docker.sock:/' }, 'invalid_url'],
    ['a user', { url: 'wss://user:secret@gateway.example.com/' }, 'invalid_url'],
    ['a query', { url: 'wss://gateway.example.com/ws?token=hunter2' }, 'invalid_url'],
    ['a fragment', { url: 'wss://gateway.example.com/ws#x' }, 'invalid_url'],
    ['a line break', { url: 'wss://gateway.exam\nple.com/ws' }, 'invalid_url'],
    ['an endless URL', { url: `wss://gateway.example.com/${'a'.repeat(3000)}` }, 'invalid_url'],
    ['a token with a line break', { url: 'wss://a.example/', token: 'a\r\nb' }, 'invalid_body'],
    ['an endless token', { url: 'wss://a.example/', token: 'a'.repeat(5000) }, 'invalid_body'],
    ['a token that is no text', { url: 'wss://a.example/', token: { $gt: '' } }, 'invalid_body'],
    ['an unknown field', { url: 'wss://a.example/', cookie: 'session=hunter2' }, 'invalid_body'],
    ['half a service token', { url: 'wss://a.example/', cfClientId: 'x.access' }, 'service_token_incomplete'],
    [
      'a service token over ws',
      { url: 'ws://a.example/', cfClientId: 'x.access', cfClientSecret: 'hunter2' },
      'service_token_over_plain',
    ],
  ])('%s', async (_, body, code) => {
    const answer = await ada.post('/api/remote', body)
    expect([answer.status, answer.json().code]).toEqual([400, code])
    expect(answer.text).not.toContain('hunter2')
    expect(await view()).toMatchObject({ state: 'off' })
  })

  it.each([
    '10.0.0.1',
    '169.254.169.254',
    '0x0a000001',
    '[::ffff:10.0.0.1]',
    '[64:ff9b::a00:1]',
    '[fd00::1]',
  ])('an address inside the network: %s', async (host) => {
    const answer = await ada.post('/api/remote', { url: `ws://${host}/` })
    expect([answer.status, answer.json().code]).toEqual([400, 'address_not_allowed'])
  })
})

describe('too many', () => {
  it('allows a burst, and then one every six seconds', async () => {
    const ask = () => ada.post('/api/remote', { url: 'ws://127.0.0.1:9/' })
    const since = performance.now()
    let allowed = 0
    let answer = await ask()
    for (; answer.status === 202; answer = await ask()) allowed += 1
    // The two service tokens above count, unless that was six seconds ago.
    expect(allowed).toBeGreaterThanOrEqual(8)
    expect(allowed).toBeLessThanOrEqual(10 + (performance.now() - since) / 6000)
    expect(answer.status).toBe(429)
    expect(Number(answer.header('retry-after'))).toBeGreaterThan(0)
  })
})
