// Needs curl and a JDK (Debian's default-jdk-headless).
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createGate, type Gate } from 'upgate'
import { asPrincipal } from 'upgate/testing'
import { guardServer, jsonFrame } from 'upgate/ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { needs } from './needs.ts'

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const hasJava = spawnSync('java', ['--version']).status === 0
const hasCurl = /\bHTTP2\b/.test(String(spawnSync('curl', ['--version']).stdout))
if (!hasJava) console.warn('The JDK is not installed: its client is left out.')
if (!hasCurl) console.warn('curl with HTTP/2 is not installed: it is left out.')

const { scheme, headers } = asPrincipal({ id: 'alice' })
let gate: Gate
/** Requests that arrived, with the protocols that they offered. */
const seen: { upgrade: unknown; settings: unknown }[] = []
const server = createServer(async (request, response) => {
  const { upgrade, 'http2-settings': settings } = request.headers
  seen.push({ upgrade, settings })
  let size = 0
  for await (const part of request) size += part.length
  response.end(`${gate.principalOf(request)?.id ?? 'anonymous'} ${size}`)
})
let offered = 0
let base = ''

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  base = `http://${host}`
  const handshake = jsonFrame({ credential: (message) => message.token })
  gate = createGate({
    schemes: [scheme],
    origins: ['https://gateway.example.com'],
    hosts: [host],
    rules: [
      { path: '/open', access: 'public' },
      { path: '/ws', access: 'deferred', handshake },
    ],
  })
  guardServer(server, gate, { sockets: { '/ws': new WebSocketServer({ noServer: true }) } })
  // Before the guard: how many offers came at all.
  const { emit } = server
  server.emit = function (this: typeof server, event: string, ...values: unknown[]) {
    if (event === 'upgrade') offered++
    return Reflect.apply(emit, this, [event, ...values])
  } as typeof emit
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

async function run(program: string, ...values: string[]): Promise<string[]> {
  const child = spawn(program, values, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000 })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  await once(child, 'close')
  return text.trim().split('\n')
}

describe.skipIf(!needs('The JDK', hasJava, 'UPGATE_REQUIRE_JAVA'))("the JDK's HttpClient", () => {
  it('gets the answers of each path, though it offers HTTP/2 with every request', async () => {
    const lines = await run('java', here('OffersH2c.java'), base, headers.authorization ?? '')
    const expected = [
      'GET /open HTTP_1_1 200 anonymous 0',
      'POST /open HTTP_1_1 200 anonymous 100000',
      'GET /closed HTTP_1_1 200 alice 0',
      'POST /closed HTTP_1_1 401 ',
      'GET /ws HTTP_1_1 426 ',
      'POST /ws HTTP_1_1 426 ',
    ]
    expect(lines.map((line) => line.trimEnd())).toEqual(
      [...expected, ...expected].map((line) => line.trimEnd()),
    )
    expect(offered).toBeGreaterThanOrEqual(12)
    expect(seen.every(({ upgrade, settings }) => upgrade === undefined && settings === undefined)).toBe(true)
  })
})

describe.skipIf(!needs('curl', hasCurl, 'UPGATE_REQUIRE_CURL'))('curl --http2', () => {
  it('gets the answers of each path, with bodies sent at once and after `Expect: 100-continue`', async () => {
    const before = offered
    const curl = (...values: string[]): Promise<string[]> =>
      run('curl', '-sS', '--http2', '-w', '\n%{http_code} %{http_version}', ...values)
    expect(await curl(`${base}/open`)).toEqual(['anonymous 0', '200 1.1'])
    expect((await curl(`${base}/closed`)).at(-1)).toBe('401 1.1')
    expect(await curl('-H', `Authorization: ${headers.authorization}`, `${base}/closed`)).toEqual([
      'alice 0',
      '200 1.1',
    ])
    const large = 'x'.repeat(100_000)
    for (const how of [
      ['-H', 'Expect: 100-continue'],
      ['-H', 'Expect:'],
      ['-H', 'Transfer-Encoding: chunked'],
    ])
      expect(await curl(...how, '-d', large, `${base}/open`)).toEqual(['anonymous 100000', '200 1.1'])
    // Two on one command line: the connection of the first cannot be used again.
    expect(await curl(`${base}/open`, `${base}/open`)).toEqual([
      'anonymous 0',
      '200 1.1anonymous 0',
      '200 1.1',
    ])
    expect((await curl(`${base}/ws`)).at(-1)).toBe('426 1.1')
    expect(offered - before).toBeGreaterThanOrEqual(9)
  })
})
