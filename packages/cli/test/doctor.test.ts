import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { runDoctor, runOAuthDoctor } from '@upgate/cli'
import { createEdgeSim, type EdgeSim } from '@upgate/edge-sim'
import { describe, expect, test } from 'vitest'
import { cleanUp, httpServer, later, report, startGate, tcpServer, upgate } from './helpers.ts'

cleanUp()

/* `upgate doctor` against real servers: each layer at fault, and nothing else. */

async function deviceOf(services: Awaited<ReturnType<typeof startGate>>['services']): Promise<string> {
  return (await services.devices.create({ name: 'printer', role: 'node', scopes: ['node.read'] })).token
}

async function secretFile(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-doctor-'))
  later(() => rm(folder, { recursive: true }))
  const file = join(folder, 'secret')
  writeFileSync(file, `${text}\n`, { mode: 0o600 })
  return file
}

describe('a gate', () => {
  test('without a credential: the way is clear, and unknown is not called fine', async () => {
    const { origin } = await startGate()
    const { status, verdict, ids } = await report(['doctor', `${origin}/ws`])
    expect(status).toBe(0)
    expect(verdict).toMatchObject({ code: 'connected', title: 'The way is clear up to the credential' })
    expect(ids).toMatchObject({
      upgrade: 'pass',
      challenge: 'pass',
      credential: 'skip',
      authorisation: 'skip',
    })
  })

  test('with a device token from a file: accepted, with its role and scopes', async () => {
    const { origin, services } = await startGate()
    const file = await secretFile(await deviceOf(services))
    const { status, verdict, checks } = await report(['doctor', `${origin}/ws`, '--token-file', file])
    expect(status).toBe(0)
    expect(verdict).toMatchObject({ code: 'connected', title: 'The connection works', action: 'Nothing.' })
    expect(checks.find(({ id }) => id === 'credential')?.detail).toMatch(/^accepted as device /)
    expect(checks.find(({ id }) => id === 'authorisation')?.detail).toBe('roles: node; scopes: node.read')
  })

  test('with a token from standard input where the path wants it in a header', async () => {
    const { origin, services } = await startGate()
    const input = await deviceOf(services)
    const { status, ids } = await report(['doctor', `${origin}/chat`, '--token-file', '-'], { input })
    expect(status).toBe(0)
    expect(ids).toMatchObject({ upgrade: 'pass', challenge: 'skip', credential: 'pass' })
  })

  test('with a wrong token: authentication, exit status 3', async () => {
    const { origin, services } = await startGate()
    const other = (await deviceOf(services)).replace(/^ugd/, 'ugk')
    const { status, verdict } = await report(['doctor', `${origin}/ws`], { env: { UPGATE_TOKEN: other } })
    expect(status).toBe(3)
    expect(verdict).toMatchObject({ code: 'invalid_credential', layer: 'origin-auth' })
  })

  test('with a good token that does not suffice: the credential passes, the authorisation fails', async () => {
    const { origin, services } = await startGate()
    const env = { UPGATE_TOKEN: await deviceOf(services) }
    const { status, verdict, ids } = await report(['doctor', `${origin}/admin`], { env })
    expect(status).toBe(3)
    expect(verdict.code).toBe('insufficient_scope')
    expect(ids).toMatchObject({ credential: 'pass', authorisation: 'fail' })
  })

  test('with a clock that is an hour off, and everything else right: a warning, exit status 0', async () => {
    const { port, services } = await startGate()
    const hour = new Date(Date.now() - 3_600_000).toUTCString()
    const proxy = await tcpServer((socket) => {
      const gate = connect(port, '127.0.0.1')
      const dated = (chunk: Buffer): string =>
        chunk.toString('latin1').replace(/\r\nDate: [^\r]+/, `\r\nDate: ${hour}`)
      gate.on('data', (chunk) => socket.write(dated(chunk), 'latin1'))
      gate.on('error', () => socket.destroy())
      gate.on('close', () => socket.end())
      socket.on('close', () => gate.destroy())
      socket.pipe(gate)
    })
    const at = `ws://127.0.0.1:${proxy}/ws`
    const env = { UPGATE_TOKEN: await deviceOf(services) }
    const { status, verdict, ids } = await report(['doctor', at, '--idle', '1'], { env })
    expect(verdict).toMatchObject({ code: 'clock_skew', severity: 'warning' })
    expect(ids).toMatchObject({ credential: 'pass', clock: 'fail', idle: 'pass' })
    expect(status).toBe(0)
    const { out } = await upgate(['doctor', at], { env })
    expect(out).toContain('The clocks of client and server differ (client, clock_skew)')
    expect(out).toContain('Next: Set both clocks (NTP).')
  })

  test('a warning hides no error that comes after it', async () => {
    const { origin, services } = await startGate()
    const expecting = ['doctor', `${origin}/ws`, '--expect-edge']
    const fine = await report(expecting, { env: { UPGATE_TOKEN: await deviceOf(services) } })
    expect([fine.status, fine.verdict.code, fine.ids.edge]).toEqual([0, 'access_missing', 'fail'])
    const wrong = (await deviceOf(services)).replace(/^ugd/, 'ugk')
    const refused = await report(expecting, { env: { UPGATE_TOKEN: wrong } })
    expect([refused.status, refused.verdict.code, refused.ids.edge]).toEqual([
      3,
      'invalid_credential',
      'fail',
    ])
  })

  test('creates no device and no pairing request', async () => {
    const { origin, services } = await startGate()
    await report(['doctor', `${origin}/ws`])
    await report(['doctor', `${origin}/ws`], { env: { UPGATE_TOKEN: 'a-token-of-another-gateway' } })
    expect(await services.devices.list()).toEqual([])
    expect(await services.pairing.pending()).toEqual([])
  })
})

describe('a layer below fails: what stands on it is skipped, not failed', () => {
  test('nothing listens on the port', async () => {
    const { port } = await startGate()
    const free = await tcpServer(() => {})
    expect(free).not.toBe(port)
    const { status, verdict, checks } = await report(['doctor', 'ws://127.0.0.1:1/ws'])
    expect(status).toBe(4)
    expect(verdict).toMatchObject({ code: 'tcp_refused', layer: 'tcp' })
    expect(checks.filter((check) => check.status === 'fail').map(({ id }) => id)).toEqual(['tcp'])
    expect(checks.find(({ id }) => id === 'upgrade')).toMatchObject({
      status: 'skip',
      detail: 'needs: http answer',
    })
  })

  test('a URL that is none: exit status 2, and no request', async () => {
    const { status, verdict, ids } = await report(['doctor', 'gateway.example.com/ws'])
    expect(status).toBe(2)
    expect(verdict.layer).toBe('url')
    expect(ids.dns).toBe('skip')
  })

  test('TLS to a plain port, and plain text to a server that speaks first', async () => {
    const { port } = await startGate()
    expect((await report(['doctor', `wss://127.0.0.1:${port}/ws`])).verdict.code).toBe('tls_plain_port')
    const ssh = await tcpServer((socket) => socket.write('SSH-2.0-OpenSSH_9.9\r\n'))
    expect((await report(['doctor', `ws://127.0.0.1:${ssh}/ws`])).verdict.code).toBe('not_http')
  })

  test('another server on that port', async () => {
    const origin = await httpServer((_request, response) => response.end('<html>hello'))
    const { status, verdict, ids } = await report(['doctor', origin.replace('http', 'ws')])
    expect(status).toBe(1)
    expect(verdict.layer).toBe('wrong-server')
    expect(ids).toMatchObject({ http: 'pass', server: 'unknown', upgrade: 'fail', challenge: 'skip' })
  })
})

describe('Cloudflare Access in front, simulated', () => {
  async function behindEdge(): Promise<{
    sim: EdgeSim
    url: string
    env: Record<string, string>
    token: string
  }> {
    const { port, services } = await startGate()
    const sim = createEdgeSim({
      upstream: `http://127.0.0.1:${port}`,
      teams: ['acme'],
      urls: 'cloudflare',
      applications: [{ name: 'gateway', host: 'localhost', policies: [{ action: 'service_auth' }] }],
    })
    const { headers } = sim.addServiceToken({ name: 'node' })
    await sim.start()
    later(() => sim.stop())
    const env = {
      CF_ACCESS_CLIENT_ID: headers['CF-Access-Client-Id'],
      CF_ACCESS_CLIENT_SECRET: headers['CF-Access-Client-Secret'],
    }
    return {
      sim,
      url: sim.url.replace('http', 'ws').replace('127.0.0.1', 'localhost'),
      env,
      token: await deviceOf(services),
    }
  }

  test('no service token: the edge is named, and its login is', async () => {
    const { url } = await behindEdge()
    const { status, verdict, ids } = await report(['doctor', `${url}/ws`])
    expect(status).toBe(3)
    expect(verdict).toMatchObject({ code: 'access_login_required', layer: 'edge-access' })
    expect(ids).toMatchObject({ http: 'pass', server: 'pass', edge: 'fail' })
  })

  test('a wrong and a right service token', async () => {
    const { url, env, token } = await behindEdge()
    const wrong = { ...env, CF_ACCESS_CLIENT_SECRET: 'f'.repeat(64) }
    expect((await report(['doctor', `${url}/ws`], { env: wrong })).verdict.layer).toBe('edge-access')
    const { status, checks } = await report(['doctor', `${url}/ws`], {
      env: { ...env, UPGATE_TOKEN: token },
    })
    expect(status).toBe(0)
    expect(checks.find(({ id }) => id === 'edge')?.detail).toMatch(
      /^admitted with the service token; without it:/,
    )
  })

  test('a bot challenge', async () => {
    const { sim, url, env } = await behindEdge()
    sim.inject({ kind: 'challenge' })
    const { status, verdict, ids } = await report(['doctor', `${url}/ws`], { env })
    expect(verdict).toMatchObject({ code: 'bot_challenge', layer: 'edge-bot' })
    expect(status).toBe(1)
    expect(ids.bot_filter).toBe('fail')
  })

  test('an upgrade that is lost on the way', async () => {
    const { sim, url, env } = await behindEdge()
    sim.inject({ kind: 'drop-upgrade' })
    const { status, verdict, ids } = await report(['doctor', `${url}/ws`], { env })
    expect(status).toBe(1)
    expect(verdict.code).toBe('upgrade_lost')
    expect(ids).toMatchObject({ edge: 'pass', upgrade: 'fail', challenge: 'skip' })
  })

  test('a tunnel that is down', async () => {
    const { sim, url, env } = await behindEdge()
    sim.inject({ kind: 'tunnel-down' })
    const { status, verdict } = await report(['doctor', `${url}/ws`], { env })
    expect(verdict.code).toBe('tunnel_down')
    expect(status).toBe(4)
  })
})

describe('its refusals', () => {
  test('a ticket, which sending would consume, and a secret that could be guessed', async () => {
    const ticket = await upgate(['doctor', 'ws://127.0.0.1:1/ws'], {
      env: { UPGATE_TOKEN: `ugt_${'a'.repeat(60)}` },
    })
    expect(ticket).toMatchObject({ status: 2, out: '' })
    expect(ticket.err).toContain('sending it would consume it')
    const password = await upgate(['doctor', 'ws://127.0.0.1:1/ws'], { env: { UPGATE_TOKEN: 'hunter2' } })
    expect(password.status).toBe(2)
    expect(password.err).toContain('a gate counts those as guesses')
    expect(password.err).not.toContain('hunter2')
  })

  test('a secret among the arguments: it is not quoted', async () => {
    for (const argv of [
      ['doctor', 'ws://127.0.0.1:1/ws', '--token', 'ugd_secret_in_the_wrong_place'],
      ['doctor', 'ws://127.0.0.1:1/ws', 'ugd_secret_in_the_wrong_place'],
      ['doctor', 'ws://127.0.0.1:1/ws', '--token=ugd_secret_in_the_wrong_place'],
    ]) {
      const { status, out, err } = await upgate(argv)
      expect(status).toBe(2)
      expect(out).toBe('')
      expect(err).not.toContain('ugd_secret')
    }
  })

  test('a credential over ws:// to another computer', async () => {
    const controller = new AbortController()
    const { checks } = await report(['doctor', 'ws://192.0.2.1/ws', '--timeout', '1'], {
      env: { UPGATE_TOKEN: 'a-token-of-another-gateway' },
      signal: controller.signal,
    })
    expect(checks.find(({ id }) => id === 'credential')?.status).not.toBe('pass')
  })
})

// With the first check late, as on a busy machine, none failed, and the verdict was that the connection works.
describe('a time limit that is over before the checks', () => {
  const late = {
    url: 'ws://127.0.0.1:1/ws',
    timeout: 0,
    signal: new AbortController().signal,
    progress: { started() {}, finished() {} },
  }

  test.each([
    ['doctor', () => runDoctor({ ...late, handshake: 'auto', expectEdge: false, idle: 0, env: {} })],
    ['doctor oauth', () => runOAuthDoctor({ ...late, url: 'http://127.0.0.1:1/mcp' })],
  ])('is no connection that works: %s', async (_, run) => {
    const { verdict, checks } = await run()
    expect(verdict).toMatchObject({
      code: 'unknown',
      severity: 'error',
      title: 'The time limit was over before all checks were made',
      action: 'Run it again with a longer --timeout.',
    })
    expect(checks[0]).toMatchObject({ status: 'unknown', detail: 'the time limit was over (--timeout)' })
  })
})

describe('hostile servers', () => {
  const bounded = async (onData: (socket: import('node:net').Socket) => void): Promise<string> => {
    const port = await tcpServer((socket) => socket.once('data', () => onData(socket)))
    const { verdict } = await report(['doctor', `ws://127.0.0.1:${port}/ws`, '--timeout', '2'])
    return verdict.code
  }

  test('endless headers, an endless body, half a header', async () => {
    const endless = (socket: import('node:net').Socket, start: string, more: string): void => {
      socket.write(start)
      // Bounded: 20 MB.
      let left = 320
      const push = (): void => {
        while (left-- > 0 && socket.write(more.repeat(1024))) {}
        if (left > 0) socket.once('drain', push)
      }
      push()
    }
    await bounded((socket) => endless(socket, 'HTTP/1.1 200 OK\r\n', `x: ${'a'.repeat(60)}\r\n`))
    await bounded((socket) => endless(socket, 'HTTP/1.1 200 OK\r\n\r\n', 'a'.repeat(64)))
    expect(await bounded((socket) => socket.write('HTTP/1.1 200 OK\r\nserver: x'))).toBe('http_stalled')
  })

  test('terminal escapes, HTML and a credential that is echoed: nothing of it is printed', async () => {
    const token = 'ugd_echoed_by_a_hostile_server'
    const port = await tcpServer((socket) =>
      socket.once('data', () =>
        socket.end(
          `HTTP/1.1 403 \u001b[2J\r\nserver: \u001b]0;owned\u0007<script>alert(1)</script>\r\ncontent-length: ${token.length}\r\n\r\n${token}`,
        ),
      ),
    )
    const { out, err } = await upgate(['doctor', `ws://127.0.0.1:${port}/ws`], {
      env: { UPGATE_TOKEN: token },
      tty: true,
    })
    const withoutColours = stripVTControlCharacters(out)
    expect(withoutColours).not.toContain('owned\u0007')
    expect(withoutColours).not.toContain('\u001b')
    for (const part of ['\u001b[2J', '\u001b]0;', '<script']) expect(out).not.toContain(part)
    expect(out + err).not.toContain(token)
  })

  test('a redirect to another origin: it is not followed, and no secret arrives there', async () => {
    let asked = 0
    const elsewhere = await httpServer((_request, response) => {
      asked += 1
      response.end()
    })
    const origin = await httpServer((_request, response) =>
      response.writeHead(302, { location: `${elsewhere}/steal` }).end(),
    )
    const { verdict } = await report(['doctor', `${origin.replace('http', 'ws')}/ws`], {
      env: { UPGATE_TOKEN: 'a-token-of-another-gateway' },
    })
    expect(verdict.code).toBe('redirected')
    expect(asked).toBe(0)
  })
})

describe('how it prints', () => {
  test('a table, one verdict, one action; colours on terminals only', async () => {
    const plain = await upgate(['doctor', 'ws://127.0.0.1:1/ws?token=in-the-query'])
    expect(plain.out).toMatch(/^ws:\/\/127\.0\.0\.1:1\/ws\n {2}PASS {2}URL/)
    expect(plain.out).toContain('  FAIL  TCP connection')
    expect(plain.out).toMatch(/\nNext: Start the server, [^\n]+\nMore: upgate explain tcp_refused\n$/)
    expect(plain.out).not.toContain('\u001b')
    expect(plain.out).not.toContain('in-the-query')
    expect(plain.err).toBe('')
    const coloured = await upgate(['doctor', 'ws://127.0.0.1:1/ws'], { tty: true })
    expect(coloured.out).toContain('\u001b[')
    expect(coloured.err).toContain('… TCP connection')
    const without = await upgate(['doctor', 'ws://127.0.0.1:1/ws'], { tty: true, env: { NO_COLOR: '1' } })
    expect(without.out).not.toContain('\u001b')
  })

  test('--json: one object and nothing else, also on a terminal', async () => {
    const { out, err } = await upgate(['doctor', 'ws://127.0.0.1:1/ws', '--json'], { tty: true })
    expect(err).toBe('')
    expect(out.split('\n')).toHaveLength(2)
    const { target, verdict, checks } = JSON.parse(out)
    expect(target).toBe('ws://127.0.0.1:1/ws')
    expect(Object.keys(verdict)).toEqual(
      expect.arrayContaining(['code', 'layer', 'severity', 'title', 'cause', 'action', 'evidence']),
    )
    expect(new Set(checks.map((check: { status: string }) => check.status))).toEqual(
      new Set(['pass', 'fail', 'skip']),
    )
  })

  test('explain says what a code means, and suggests one for a part of it', async () => {
    const { status, out } = await upgate(['explain', 'upgrade_lost'])
    expect(status).toBe(0)
    expect(out).toMatch(/^The .+\(.+, upgrade_lost\)\nWhat you see: .+\nWhy: .+\nNext: .+\nTry again: /)
    const unknown = await upgate(['explain', 'tls_sel'])
    expect(unknown.status).toBe(2)
    expect(unknown.err).toContain('Did you mean tls_self_signed?')
  })

  test('--help of each command, --version, and no command at all', async () => {
    for (const argv of [['--help'], ['doctor', '--help'], ['doctor', 'oauth', '-h']]) {
      const { status, out, err } = await upgate(argv)
      expect({ status, err }).toEqual({ status: 0, err: '' })
      expect(out).toMatch(/^Usage: upgate /)
    }
    expect((await upgate(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect(await upgate([])).toMatchObject({ status: 2, out: '' })
    expect((await upgate(['docter'])).err).toContain('There is no such command')
  })

  test('a run that was interrupted: exit status 130, and nothing on standard output', async () => {
    const controller = new AbortController()
    const silent = await tcpServer(() => controller.abort())
    const { status, out } = await upgate(['doctor', `ws://127.0.0.1:${silent}/ws`, '--json'], {
      signal: controller.signal,
    })
    expect(status).toBe(130)
    expect(out).toBe('')
  })
})
