/*
 * A guarded server and a bare one get the same bytes. The guard reads requests with an offer (`Upgrade: h2c`, or `websocket` without a handshake) twice: no
 * byte may be part of another request, or of another body, than the bare server reads.
 * UPGATE_H2C_CASES=20000 asks for more cases, UPGATE_SEED for others.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { createGate } from 'upgate'
import { asPrincipal } from 'upgate/testing'
import { guardServer } from 'upgate/ws'
import { afterAll, beforeAll, expect, it } from 'vitest'

const seed = Number(process.env.UPGATE_SEED ?? 1)
const cases = Number(process.env.UPGATE_H2C_CASES ?? 400)

/** mulberry32. */
function numbers(from: number): () => number {
  let state = from
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Target {
  readonly server: Server
  readonly reached: string[]
  port: number
}

const hops = new Set(['connection', 'upgrade', 'http2-settings'])

function target(prepare: (server: Server) => void): Target {
  const reached: string[] = []
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    request.setEncoding('latin1').on('data', (text: string) => {
      body += text
    })
    const lines: string[] = []
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      if (!hops.has((request.rawHeaders[i] as string).toLowerCase()))
        lines.push(`${request.rawHeaders[i]}=${request.rawHeaders[i + 1]}`)
    }
    const at = reached.push(`${request.method} ${request.url} ${lines}`) - 1
    request.on('end', () => {
      reached[at] += ` [${body}]`
      response.end(`<${reached[at]}>`)
    })
  })
  prepare(server)
  return { server, reached, port: 0 }
}

const bare = target(() => {})
const guarded = target((server) => {
  const { scheme } = asPrincipal({ id: 'a' })
  const rules = [{ path: '/*', access: 'public' }] as const
  guardServer(server, createGate({ schemes: [scheme], rules, logger: { warn() {}, error() {} } }))
})

beforeAll(async () => {
  for (const one of [bare, guarded]) {
    await new Promise<void>((resolve) => one.server.listen(0, '127.0.0.1', resolve))
    one.port = (one.server.address() as AddressInfo).port
  }
})
afterAll(() => {
  for (const { server } of [bare, guarded]) {
    server.closeAllConnections()
    server.close()
  }
})

interface Case {
  readonly bytes: Buffer
  /** Without the offer, for the answers that are right. */
  readonly plain: Buffer
  /** How many answers the guard owes: those up to the offer. */
  readonly owed: number
}

function makeCase(random: () => number): Case {
  const pick = <T>(...values: T[]): T => values[Math.floor(random() * values.length)] as T
  const count = 1 + Math.floor(random() * 4)
  const offered = Math.floor(random() * count)
  let bytes = ''
  let plain = ''
  for (let i = 0; i < count; i++) {
    const other = [
      'Host: a.example',
      ...pick<string[]>([], ['X-A: 1'], ['X-A: b c', 'x-a:\t2 '], ['Cookie: a=1;  b="\xff"'], ['Empty:']),
    ]
    let body = ''
    const kind = pick('none', 'length', 'chunked', 'zero')
    const text = pick('', 'abc', 'GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n', '\r\n\r\n', '0\r\n\r\n')
    if (kind === 'length') {
      other.push(`${pick('Content-Length', 'content-length')}: ${text.length}`)
      body = text
    } else if (kind === 'zero') other.push('Content-Length: 0')
    else if (kind === 'chunked') {
      other.push(`Transfer-Encoding: ${pick('chunked', 'Chunked')}`)
      const half = Math.floor(text.length / 2)
      for (const part of [text.slice(0, half), text.slice(half)])
        if (part !== '') body += `${part.length.toString(16)}${pick('', ';x=1')}\r\n${part}\r\n`
      body += `0\r\n${pick('', 'X-Trailer: 1\r\n')}\r\n`
    }
    const line = `${pick('GET', 'POST', 'PUT', 'OPTIONS')} /${i}${pick('', '?q=1', '/deep')} HTTP/1.1\r\n`
    const lines = [...other]
    if (i === offered || (i > offered && random() < 0.3)) {
      const offer = pick(
        ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'],
        ['connection:upgrade', 'UPGRADE:h2c'],
        ['Connection: upgrade', 'Upgrade: websocket'],
        ['Upgrade:\tWebSocket ', 'Connection: keep-alive,Upgrade'],
        ['Upgrade:  H2C ', 'HTTP2-Settings:', 'Connection: HTTP2-Settings,', 'Connection: upgrade'],
      )
      for (const one of offer) lines.splice(Math.floor(random() * (lines.length + 1)), 0, one)
    }
    bytes += `${line}${lines.join('\r\n')}\r\n\r\n${body}`
    plain += `${line}${other.join('\r\n')}\r\n\r\n${body}`
  }
  return { bytes: Buffer.from(bytes, 'latin1'), plain: Buffer.from(plain, 'latin1'), owed: offered + 1 }
}

/** Changes, drops, doubles or adds some bytes. */
function damage(bytes: Buffer, random: () => number): Buffer {
  const pieces = [
    '\r',
    '\n',
    '\r\n',
    ' ',
    '\t',
    ':',
    ',',
    '\0',
    '\x0b',
    '0',
    'chunked',
    'Content-Length: 1\r\n',
    'x',
  ]
  let text = bytes.toString('latin1')
  for (let i = 0; i <= random() * 3; i++) {
    const at = Math.floor(random() * text.length)
    const added = random() < 0.6 ? (pieces[Math.floor(random() * pieces.length)] as string) : ''
    text = text.slice(0, at) + added + text.slice(at + (random() < 0.5 ? 1 : 0))
  }
  return Buffer.from(text, 'latin1')
}

/** Sends bytes in parts, and resolves with everything that came back. */
function send(port: number, bytes: Buffer, random: () => number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    let text = ''
    socket.on('data', (data) => {
      text += data.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('end', () => socket.destroy())
    socket.on('close', () => resolve(text))
    const size = random() < 0.3 ? bytes.length : 1 + Math.floor(random() * 60)
    let at = 0
    const next = (): void => {
      if (socket.destroyed) return
      if (at >= bytes.length) {
        socket.end()
        return
      }
      socket.write(bytes.subarray(at, at + size))
      at += size
      setImmediate(next)
    }
    next()
  })
}

const answersIn = (text: string): string[] => text.match(/<[^>]*>/g) ?? []

it(`gives the bare server's answers up to the one with the offer (seed ${seed}, ${cases} cases)`, async () => {
  for (let i = 0; i < cases; i++) {
    const { bytes, plain, owed } = makeCase(numbers(seed * 1e6 + i))
    const random = numbers(seed * 7e6 + i)
    guarded.reached.length = 0
    const [got, wanted] = await Promise.all([
      send(guarded.port, bytes, random),
      send(bare.port, plain, random),
    ])
    const where = `case ${i}: ${JSON.stringify(bytes.toString('latin1'))}`
    expect(answersIn(got), where).toEqual(answersIn(wanted).slice(0, owed))
    expect(guarded.reached, where).toHaveLength(owed)
  }
}, 600_000)

it(`sees no request that the bare server does not see, in damaged bytes (seed ${seed}, ${cases} cases)`, async () => {
  let same = 0
  for (let i = 0; i < cases; i++) {
    const random = numbers(seed * 3e6 + i)
    const bytes = damage(makeCase(random).bytes, random)
    guarded.reached.length = 0
    bare.reached.length = 0
    const parts = seed * 9e6 + i
    await Promise.all([send(guarded.port, bytes, numbers(parts)), send(bare.port, bytes, numbers(parts))])
    const where = `case ${i}: ${JSON.stringify(bytes.toString('latin1'))}`
    const seen = guarded.reached.length
    expect(guarded.reached, where).toEqual(bare.reached.slice(0, seen))
    if (seen > 0) same++
  }
  // Otherwise nothing would have been compared.
  expect(same).toBeGreaterThan(cases / 3)
}, 600_000)
