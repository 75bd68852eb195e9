import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { runCommand } from '../src/command.ts'
import { cleanUp, startOrigin } from './helpers.ts'

cleanUp()

interface Run {
  readonly out: () => string
  readonly err: () => string
  readonly stdin: PassThrough
  readonly stop: () => void
  readonly status: Promise<number>
  /** Waits until the output contains a text. */
  printed(text: string | RegExp): Promise<void>
}

function run(
  argv: string[],
  { isTTY = false, env = {} }: { isTTY?: boolean; env?: Record<string, string> } = {},
): Run {
  let out = ''
  let err = ''
  let stop = (): void => {}
  const waiting = new Set<() => void>()
  const stdin = new PassThrough()
  const write = (text: string): void => {
    out += text
    for (const check of waiting) check()
  }
  const status = runCommand({
    argv,
    env,
    stdin,
    stdout: { write, isTTY },
    stderr: {
      write(text) {
        err += text
      },
    },
    onStop: (callback) => {
      stop = callback
    },
  })
  return {
    out: () => out,
    err: () => err,
    stdin,
    stop: () => stop(),
    status,
    printed: (text) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (typeof text === 'string' ? !out.includes(text) : !text.test(out)) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
  }
}

describe('the command', () => {
  test('--help prints the usage and every fault, and ends with 0', async () => {
    const command = run(['--help'])
    expect(await command.status).toBe(0)
    expect(command.out()).toMatch(/^Usage: edge-sim --upstream <origin>/)
    expect(command.out()).toContain('origin-timeout')
  })

  test.each([
    [[], '--upstream is required'],
    [['--upstream', 'https://example.com'], 'upstream must be a loopback origin'],
    [['--upstream', 'http://10.0.0.1'], 'upstream must be a loopback origin'],
    [['-u', 'http://127.0.0.1:1', '--port', '65536'], '--port must be an integer from 0 to 65535'],
    [['-u', 'http://127.0.0.1:1', '--port', 'x'], '--port must be an integer from 0 to 65535, got x'],
    [['-u', 'http://127.0.0.1:1', '--fault', 'nonsense'], '--fault must be one of rate-limit'],
    [['-u', 'http://127.0.0.1:1', '--fault', 'waf=1'], '--fault waf takes no value'],
    [
      ['-u', 'http://127.0.0.1:1', '--fault', 'origin-error=500'],
      '--fault origin-error must be an integer from 521',
    ],
    [['-u', 'http://127.0.0.1:1', '--urls', 'x'], '--urls must be one of loopback, cloudflare'],
    [['-u', 'http://127.0.0.1:1', '--user', 'anna'], 'user.email must be an address'],
    [['--nonsense'], "Unknown option '--nonsense'"],
  ])('%j is wrong usage: 2 and why', async (argv, message) => {
    const command = run(argv)
    expect(await command.status).toBe(2)
    expect(command.err()).toContain(`edge-sim: ${message}`)
    expect(command.out()).toBe('')
  })

  test('a port that is taken: 1', async () => {
    const origin = await startOrigin()
    const command = run(['-u', origin.url, '-p', new URL(origin.url).port])
    expect(await command.status).toBe(1)
    expect(command.err()).toMatch(/cannot listen on port \d+: .*EADDRINUSE/)
  })

  test('--json: prints tokens that work, one object per request, obeys typed lines, stops with 0', async () => {
    const origin = await startOrigin()
    const command = run(['-u', origin.url, '-p', '0', '--json', '--open', '/health'])
    await command.printed('\n')
    const start = JSON.parse(command.out())
    const [valid, expired, disabled] = start.serviceTokens
    const visit = async (
      token: { clientId: string; clientSecret: string } | undefined,
      path = '/',
    ): Promise<number> => {
      const headers: Record<string, string> = { 'edge-sim-host': 'localhost' }
      if (token !== undefined) {
        headers['CF-Access-Client-Id'] = token.clientId
        headers['CF-Access-Client-Secret'] = token.clientSecret
      }
      return (await fetch(start.url + path, { headers, redirect: 'manual' })).status
    }
    expect([
      await visit(valid),
      await visit(expired),
      await visit(disabled),
      await visit(undefined, '/health'),
    ]).toEqual([200, 302, 302, 200])
    expect(start).toMatchObject({
      issuer: 'https://acme.cloudflareaccess.com',
      users: ['anna@example.com', 'bob@example.com'],
    })
    expect(JSON.parse(command.out().split('\n')[1] ?? '')).toMatchObject({
      request: { status: 200, application: 'localhost' },
    })
    command.stdin.write('fault tunnel-down\n')
    await command.printed('fault tunnel-down is on')
    expect(await visit(valid)).toBe(530)
    command.stdin.write('clear\nstrict on\n')
    await command.printed('strict mode is on')
    expect([await visit(valid), await visit(expired)]).toEqual([200, 401])
    command.stdin.write('rotate\nstrict off\nleaks\nfault nonsense\nnonsense\n')
    await command.printed('unknown: nonsense')
    await command.printed(/the current key is now [0-9a-f]{64}/)
    expect(command.out()).toContain('no secret reached a redirected host')
    expect(command.out()).toContain('--fault must be one of')
    command.stop()
    expect(await command.status).toBe(0)
    await expect(visit(valid)).rejects.toThrow()
  })

  test('for people: hosts, AUD, users, tokens; colours on a terminal only, never with NO_COLOR; quit', async () => {
    const origin = await startOrigin()
    const seen: boolean[] = []
    for (const options of [{ isTTY: true }, { isTTY: true, env: { NO_COLOR: '1' } }, {}]) {
      const command = run(
        ['-u', origin.url, '-p', '0', '--fault', 'jwks=html', '--fault', 'reset=1'],
        options,
      )
      await command.printed('curl -H')
      expect(command.out()).toMatch(/Application {4}http:\/\/localhost:\d+\/ {2}AUD [0-9a-f]{64}/)
      expect(command.out()).toMatch(
        /valid +CF-Access-Client-Id: [0-9a-f]{32}\.access\n +CF-Access-Client-Secret: cfast_/,
      )
      const url = /Certs +(\S+)/.exec(command.out())?.[1] ?? ''
      const direct = url.replace('localhost', '127.0.0.1')
      await fetch(direct, { headers: { 'edge-sim-host': 'localhost' }, redirect: 'manual' })
      await command.printed('jwks_outage GET localhost/cdn-cgi/access/certs')
      seen.push(command.out().includes('\u001b['))
      command.stdin.write('quit\n')
      expect(await command.status).toBe(0)
    }
    expect(seen).toEqual([true, false, false])
  })
})
