import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { readConfig } from '../src/config.ts'
import { type AiGateway, startAiGateway, useModels } from '../src/gateway.ts'

const ownToken = 'upstream-secret'
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

/** A fake upstream, and the proxy in front of it. */
async function start(handler?: Handler, { base = '/compat', env = {} } = {}) {
  const seen: Seen[] = []
  const upstream = createServer(async (req, res) => {
    let body = ''
    req.on('error', () => {})
    try {
      for await (const part of req.setEncoding('utf8')) body += part
    } catch {
      return
    }
    const { method = '', url = '', headers, rawHeaders } = req
    seen.push({ method, url, headers, rawHeaders, body })
    if (handler === undefined) res.setHeader('content-type', 'application/json').end('{"id":"chatcmpl-1"}')
    else handler(req, res, body)
  })
  upstream.listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  closing.push(() => {
    upstream.close()
    upstream.closeAllConnections()
  })
  const folder = mkdtempSync(join(tmpdir(), 'upgate-ai-'))
  closing.push(() => rmSync(folder, { recursive: true }))
  const gateway = await startAiGateway(
    readConfig({
      PORT: '0',
      DATA_DIR: folder,
      UPSTREAM_URL: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}${base}`,
      UPSTREAM_TOKEN: ownToken,
      ...env,
    }),
  )
  closing.push(() => gateway.close())
  const key = await gateway.services.keys.create({ name: 'caller', scopes: [useModels] })
  return { gateway, upstream, seen, key, bearer: { authorization: `Bearer ${key.token}` } }
}

const chat = { model: 'm', messages: [{ role: 'user', content: 'hello' }] }
const post = (gateway: AiGateway, headers: Record<string, string>, path = '/v1/chat/completions') =>
  fetch(gateway.origin + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(chat),
  })

/** Polls a condition that a message on its way will bring about. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

describe('admission', () => {
  it('callers with a key that may use the models', async () => {
    const { gateway, seen, bearer } = await start()
    expect((await post(gateway, bearer)).status).toBe(200)
    const none = await post(gateway, {})
    expect([none.status, (await none.json()).code]).toEqual([401, 'auth_required'])
    const wrong = await post(gateway, { authorization: `Bearer ${ownToken}` })
    expect([wrong.status, (await wrong.json()).code]).toEqual([401, 'invalid_credential'])
    const useless = await gateway.services.keys.create({ name: 'useless' })
    const refused = await post(gateway, { authorization: `Bearer ${useless.token}` })
    expect([refused.status, (await refused.json()).code]).toEqual([403, 'insufficient_scope'])
    expect(seen).toHaveLength(1)
    expect((await fetch(`${gateway.origin}/health`)).status).toBe(200)
  })

  it.each(['/v1', '/v1/', '/v1/../admin', '/v1/a/../b', '/v1/%2e%2e/admin', '/v1//x', '/v1/a%2fb', '/v2/x'])(
    'no path but plain ones below /v1: %s',
    async (path) => {
      const { gateway, seen, bearer } = await start()
      const status = await new Promise((resolve, reject) => {
        const { hostname, port } = new URL(gateway.origin)
        const sent = request({ hostname, port, path, headers: bearer }, (answer) => {
          resolve(answer.resume().statusCode)
        })
        sent.once('error', reject).end()
      })
      expect(status).toBeGreaterThanOrEqual(400)
      expect(seen).toEqual([])
    },
  )
})

describe('what the upstream sees', () => {
  it("is the proxy's own token, and nothing that the caller proved itself with", async () => {
    const { gateway, seen, key } = await start()
    const more = {
      cookie: 'session=caller-cookie',
      'openai-beta': 'assistants=v2',
      'cf-access-client-secret': 'caller-access-secret',
      'x-forwarded-for': '10.0.0.1',
      connection: 'keep-alive, x-request-id',
      'x-request-id': 'hop',
    }
    const sent = request(`${gateway.origin}/v1/models?limit=2`, {
      headers: { 'x-api-key': key.token, ...more },
    })
    const [answer] = (await once(sent.end(), 'response')) as [IncomingMessage]
    expect(answer.resume().statusCode).toBe(200)
    const [{ method, url, headers, rawHeaders } = {} as Seen] = seen
    expect([method, url]).toEqual(['GET', '/compat/models?limit=2'])
    expect(headers.authorization).toBe(`Bearer ${ownToken}`)
    expect(headers['openai-beta']).toBe('assistants=v2')
    const all = rawHeaders.join('\n')
    for (const secret of [key.token, 'caller-cookie', 'caller-access-secret', '10.0.0.1', 'hop']) {
      expect(all).not.toContain(secret)
    }
    expect(headers.host).not.toBe(new URL(gateway.origin).host)
  })

  it.each([
    ['/v1/acct/gw/compat', '/v1/acct/gw/compat/chat/completions'],
    ['/v1/acct/gw/compat/', '/v1/acct/gw/compat/chat/completions'],
    ['/v1', '/v1/chat/completions'],
    ['/openai', '/openai/v1/chat/completions'],
    ['', '/v1/chat/completions'],
    ['/incompat', '/incompat/v1/chat/completions'],
  ])('base %s: %s', async (base, path) => {
    const { gateway, seen, bearer } = await start(undefined, { base })
    await post(gateway, bearer)
    expect(seen[0]).toMatchObject({ method: 'POST', url: path, body: JSON.stringify(chat) })
  })
})

describe('what the caller gets', () => {
  it('is what the upstream answers, status and all, but nothing of its connection and no cookie', async () => {
    const { gateway, bearer } = await start((_request, response) => {
      response.writeHead(418, {
        'content-type': 'application/json',
        'set-cookie': 'upstream=1',
        'x-ratelimit-remaining': '7',
        'x-hop': '1',
        connection: 'x-hop',
        'upgate-refusal': 'forged',
      })
      response.end('{"error":{}}')
    })
    const answer = await post(gateway, bearer)
    expect([answer.status, await answer.text()]).toEqual([418, '{"error":{}}'])
    expect(answer.headers.get('x-ratelimit-remaining')).toBe('7')
    for (const name of ['set-cookie', 'x-hop', 'upgate-refusal'])
      expect(answer.headers.has(name), name).toBe(false)
  })

  it('is a stream as it comes: each event arrives before the next one is made', async () => {
    let next = (_text: string): void => {}
    const { gateway, bearer } = await start((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
      next = (text) => (text === '' ? response.end() : response.write(`data: ${text}\n\n`))
    })
    const answer = await post(gateway, bearer)
    expect(answer.headers.get('content-type')).toBe('text/event-stream')
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    for (const text of ['one', 'two', '[DONE]']) {
      next(text)
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe(`data: ${text}\n\n`)
    }
    next('')
    expect((await reader.read()).done).toBe(true)
    expect(gateway.streams).toBe(0)
  })

  it('is 502 without an upstream, 504 from a silent one, and a broken answer from one that breaks off', async () => {
    const { gateway, upstream, bearer } = await start((_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('part')
      setImmediate(() => response.destroy())
    })
    await expect(post(gateway, bearer).then((answer) => answer.text())).rejects.toThrow()
    upstream.close()
    upstream.closeAllConnections()
    const gone = await post(gateway, bearer)
    expect([gone.status, (await gone.json()).error.code]).toEqual([502, 'upstream_unreachable'])
    const silent = await start(() => {}, { env: { UPSTREAM_TIMEOUT_MS: '100' } })
    const late = await post(silent.gateway, silent.bearer)
    expect([late.status, (await late.json()).error.code]).toEqual([504, 'upstream_timeout'])
  })

  it('is 413 for a request too large, declared or not', async () => {
    const { gateway, seen, bearer } = await start(undefined, { env: { MAX_BODY_BYTES: '1000' } })
    const big = 'x'.repeat(1001)
    const send = (init: RequestInit) =>
      fetch(`${gateway.origin}/v1/files`, { method: 'POST', headers: bearer, ...init })
    expect((await send({ body: big })).status).toBe(413)
    const parts = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 3; i++) controller.enqueue(Buffer.alloc(500))
        controller.close()
      },
    })
    const chunked = await send({ body: parts, duplex: 'half' } as RequestInit)
    expect([chunked.status, (await chunked.json()).error.code]).toEqual([413, 'request_too_large'])
    expect(seen).toEqual([])
    expect((await send({ body: big.slice(1) })).status).toBe(200)
  })
})

describe('a running stream', () => {
  /** An upstream that answers with a stream without end, and says when its caller has left. */
  async function streaming() {
    let left = false
    const setup = await start((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: one\n\n')
      response.once('close', () => {
        left = true
      })
    })
    return { ...setup, left: () => left }
  }

  it('is cancelled upstream when the caller leaves', async () => {
    const { gateway, bearer, left } = await streaming()
    const leaving = new AbortController()
    const answer = await fetch(`${gateway.origin}/v1/responses`, { headers: bearer, signal: leaving.signal })
    await (answer.body as ReadableStream).getReader().read()
    expect([gateway.streams, left()]).toEqual([1, false])
    leaving.abort()
    await until(left)
    await until(() => gateway.streams === 0)
  })

  it('ends when its key is revoked, says why, and is cancelled upstream; those of others go on', async () => {
    const { gateway, bearer, key, left } = await streaming()
    const other = await gateway.services.keys.create({ name: 'other', scopes: [useModels] })
    const stays = await post(gateway, { authorization: `Bearer ${other.token}` })
    const answer = await post(gateway, bearer)
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    expect(gateway.streams).toBe(2)
    await gateway.services.keys.revoke(key.id)
    const last = Buffer.from((await reader.read()).value ?? []).toString()
    expect(JSON.parse(last.replace(/^\s*data: /, ''))).toMatchObject({
      error: { code: 'revoked_credential' },
    })
    expect((await reader.read()).done).toBe(true)
    await until(left)
    expect(gateway.streams).toBe(1)
    expect((await post(gateway, bearer)).status).toBe(401)
    await stays.body?.cancel()
  })

  it('ends when the proxy stops, and says so', async () => {
    const { gateway, bearer, left } = await streaming()
    const reader = ((await post(gateway, bearer)).body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    const closed = gateway.close()
    const last = Buffer.from((await reader.read()).value ?? []).toString()
    expect(JSON.parse(last.replace(/^\s*data: /, ''))).toMatchObject({ error: { code: 'shutting_down' } })
    await closed
    await until(left)
  })

  it('that has not begun is answered 401 when the key is revoked, and cancelled upstream as well', async () => {
    let left = 0
    const { gateway, bearer, key, seen } = await start((_request, response) => {
      response.once('close', () => left++)
    })
    const leaving = new AbortController()
    const abandoned = fetch(`${gateway.origin}/v1/responses`, { headers: bearer, signal: leaving.signal })
    await until(() => seen.length === 1)
    leaving.abort()
    await expect(abandoned).rejects.toThrow('aborted')
    await until(() => left === 1)
    const answer = post(gateway, bearer)
    await until(() => seen.length === 2)
    await gateway.services.keys.revoke(key.id)
    expect((await answer).status).toBe(401)
    await until(() => left === 2)
    expect(gateway.streams).toBe(0)
  })
})

describe('settings', () => {
  const good = { UPSTREAM_URL: 'https://api.openai.com/v1', UPSTREAM_TOKEN: 'secret' }
  it.each([
    ['UPSTREAM_TOKEN', {}],
    ['UPSTREAM_URL', { UPSTREAM_TOKEN: 'secret' }],
    ['UPSTREAM_URL', { ...good, UPSTREAM_URL: 'http://models.example.com' }],
    ['UPSTREAM_URL', { ...good, UPSTREAM_URL: 'https://user:secret@models.example.com' }],
    ['PORT', { ...good, PORT: '-1' }],
    ['MAX_BODY_BYTES', { ...good, MAX_BODY_BYTES: 'much' }],
    ['PUBLIC_URL', { ...good, PUBLIC_URL: 'https://ai.example.com/v1' }],
  ])('that cannot be used are named: %s', (name, env) => {
    expect(() => readConfig(env)).toThrow(name)
    expect(() => readConfig(env)).not.toThrow('secret')
  })
})
