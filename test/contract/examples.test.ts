import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { freePort } from '../free-port.ts'

/* The small examples, run as a person would run them. */

interface Running {
  readonly child: ChildProcess
  readonly url: string
  readonly output: string
}

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

async function start(example: string, last: RegExp): Promise<Running> {
  const port = await freePort()
  const cwd = fileURLToPath(new URL(`../../examples/${example}`, import.meta.url))
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd,
    env: { ...process.env, PORT: String(port), HOST: '127.0.0.1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      output += String(chunk)
      if (last.test(output)) resolve()
    })
    child.once('exit', (code) => reject(new Error(`${example} ended with ${code}: ${output}`)))
  })
  const url = `http://localhost:${port}`
  expect(output).toContain(`Listening: ${url}\n`)
  return { child, url, output }
}

/** Connects as a node, proves itself, says hello. */
async function connectNode(url: string, frame: string): Promise<{ ws: WebSocket; said: string[] }> {
  const ws = new WebSocket(`${url.replace('http', 'ws')}/ws`)
  const said: string[] = []
  ws.on('message', (data) => said.push(String(data)))
  await once(ws, 'open')
  ws.send(frame)
  ws.send('hello')
  while (said.length < 2) await once(ws, 'message')
  return { ws, said }
}

/** Stops it; sockets are closed with 1001 and the process ends by itself. */
async function stop({ child }: Running, signal: NodeJS.Signals, ws: WebSocket): Promise<void> {
  const closed = once(ws, 'close')
  const exited = once(child, 'exit')
  child.kill(signal)
  expect((await closed)[0]).toBe(1001)
  expect(await exited).toEqual([0, null])
}

async function wrongToken(url: string): Promise<void> {
  const ws = new WebSocket(`${url.replace('http', 'ws')}/ws`)
  await once(ws, 'open')
  ws.send('{"type":"auth","token":"ugd_nonsense"}')
  const [code, reason] = await once(ws, 'close')
  expect([code, String(reason)]).toEqual([4401, 'invalid_credential'])
}

const login = (url: string, path: string, type: string, body: string, origin = url): Promise<Response> =>
  fetch(url + path, { method: 'POST', redirect: 'manual', headers: { 'content-type': type, origin }, body })

describe('examples', () => {
  it('raw-node: a key, and a node that proves itself in its first frame', async () => {
    const running = await start('raw-node', /"type":"auth".*\n/)
    const { url, output } = running
    const key = /X-Api-Key: (\S+)'/.exec(output)?.[1] ?? ''
    expect((await fetch(`${url}/health`)).status).toBe(200)
    expect((await fetch(`${url}/api/nodes`)).status).toBe(401)
    const { ws, said } = await connectNode(url, /\{"type":"auth".*\}/.exec(output)?.[0] ?? '')
    expect(said[0]).toContain('"type":"auth_ok"')
    expect(said[1]).toBe('kitchen said hello')
    const nodes = await fetch(`${url}/api/nodes`, { headers: { 'x-api-key': key } })
    expect(await nodes.json()).toEqual(['kitchen'])
    await wrongToken(url)
    await stop(running, 'SIGTERM', ws)
  })

  it('express: login, logout that closes the chat, a route with its own demands, nodes', async () => {
    const running = await start('express', /api\/devices\n/)
    const { url, output } = running
    const key = /X-Api-Key: (\S+)'/.exec(output)?.[1] ?? ''
    const password = /password (.+)\n/.exec(output)?.[1] ?? ''

    // `fetch` marks its requests as no navigation; a browser's address bar is one.
    const [page] = (await once(get(`${url}/`, { headers: { accept: 'text/html' } }), 'response')) as [
      IncomingMessage,
    ]
    page.resume()
    expect([page.statusCode, page.headers.location]).toEqual([303, '/login?next=%2F'])
    const form = (secret: string): string =>
      String(new URLSearchParams({ email: 'admin@example.com', password: secret }))
    const urlencoded = 'application/x-www-form-urlencoded'
    expect((await login(url, '/login', urlencoded, form('wrong'))).status).toBe(401)
    expect((await login(url, '/login', urlencoded, form(password), 'https://evil.example')).status).toBe(403)
    const loggedIn = await login(url, '/login?next=//evil.example', urlencoded, form(password))
    expect([loggedIn.status, loggedIn.headers.get('location')]).toEqual([303, '/'])
    const cookie = loggedIn.headers.get('set-cookie')?.split(';')[0] ?? ''
    expect(await (await fetch(`${url}/`, { headers: { cookie } })).text()).toContain(
      'You are admin@example.com.',
    )

    const chat = new WebSocket(`${url.replace('http', 'ws')}/ws/chat`, { headers: { cookie }, origin: url })
    await once(chat, 'open')
    chat.send('hi')
    expect(String((await once(chat, 'message'))[0])).toBe('admin@example.com: hi')

    expect((await fetch(`${url}/api/devices`, { method: 'POST' })).status).toBe(401)
    const created = await fetch(`${url}/api/devices`, { method: 'POST', headers: { 'x-api-key': key } })
    expect(created.status).toBe(201)
    const { token } = (await created.json()) as { token: string }
    const { ws, said } = await connectNode(url, JSON.stringify({ type: 'auth', token }))
    expect(said[1]).toMatch(/^node \d+ said hello$/)
    expect((await fetch(`${url}/api/me`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(403)
    await wrongToken(url)

    const closed = once(chat, 'close')
    expect((await login(url, '/logout', urlencoded, '', url)).status).toBe(401)
    const out = await fetch(`${url}/logout`, {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie, origin: url },
    })
    expect(out.status).toBe(303)
    expect((await closed)[0]).toBe(4403)
    await stop(running, 'SIGINT', ws)
  })

  it('koa: login, key, nodes', async () => {
    const running = await start('koa', /"type":"auth".*\n/)
    const { url, output } = running
    const key = /X-Api-Key: (\S+)'/.exec(output)?.[1] ?? ''
    const password = /password (.+)\n/.exec(output)?.[1] ?? ''
    const body = JSON.stringify({ email: 'admin@example.com', password })
    expect((await fetch(`${url}/api/me`)).status).toBe(401)
    expect((await login(url, '/api/login', 'application/json', '{"email":1}')).status).toBe(401)
    expect((await login(url, '/api/login', 'application/json', body, 'https://evil.example')).status).toBe(
      403,
    )
    const loggedIn = await login(url, '/api/login', 'application/json', body)
    expect(loggedIn.status).toBe(204)
    const cookie = loggedIn.headers.get('set-cookie')?.split(';')[0] ?? ''
    expect(await (await fetch(`${url}/api/me`, { headers: { cookie } })).json()).toMatchObject({
      kind: 'user',
    })
    const me = await fetch(`${url}/api/me`, { headers: { 'x-api-key': key } })
    expect(await me.json()).toMatchObject({ kind: 'service', scopes: [] })
    const { ws, said } = await connectNode(url, /\{"type":"auth".*\}/.exec(output)?.[0] ?? '')
    expect(said[1]).toBe('kitchen said hello')
    await wrongToken(url)
    await stop(running, 'SIGTERM', ws)
  })
})
