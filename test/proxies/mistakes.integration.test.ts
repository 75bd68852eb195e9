// Needs Debian's nginx, haproxy and caddy.
/*
 * What the operator's sentences say of a proxy, done by that proxy: each line that they name has the effect, the decision
 * is the safe one, the reason is told to the operator, and nothing of it to the client.
 */
import type { AuditEvent } from 'upgate'
import { afterEach, describe, expect, it } from 'vitest'
import { ask, endStages, type Stage, stage, upgradeStatus } from './guarded-stage.ts'
import { hasProxy, type ProxyName } from './programs.ts'

afterEach(endStages)

/** Puts lines of configuration where a proxy takes them. */
const withLines: Readonly<Record<ProxyName, (text: string, lines: string) => string>> = {
  // A second value of a header would be sent next to the first one: the line of the guide goes.
  nginx: (text, lines) => {
    const names = [...lines.matchAll(/proxy_set_header (\S+)/g)].map(([, name]) => name)
    const kept = text
      .split('\n')
      .filter((line) => !names.some((name) => line.includes(`proxy_set_header ${name} `)))
    return kept.join('\n').replace(/(proxy_pass .*;)/, `$1\n    ${lines}`)
  },
  caddy: (text, lines) => text.replace(/(reverse_proxy \S+)/, `$1 {\n    ${lines}\n  }`),
  haproxy: (text, lines) => text.replace('option forwardfor', `option forwardfor\n  ${lines}`),
}

interface Mistake {
  readonly what: string
  readonly lines: Readonly<Record<ProxyName, string>>
  /** Sends the request that meets it; the status, and the body where there is one. */
  readonly sent: (stage: Stage) => Promise<{ status: number; body?: string }>
  readonly status: number
  readonly code: string
  readonly reason: RegExp
}

const cookie = 'upgate_session=a-session'
const own = ({ port }: Stage): string => `http://127.0.0.1:${port}`
const opened = async (made: Stage, headers: Record<string, string> = {}): Promise<{ status: number }> => ({
  status: await upgradeStatus(made.port, headers),
})

const mistakes: readonly Mistake[] = [
  {
    what: 'Origin is written',
    lines: {
      nginx: 'proxy_set_header Origin http://$http_host;',
      caddy: 'header_up Origin http://{hostport}',
      haproxy: 'http-request set-header Origin http://%[req.hdr(host)]',
    },
    sent: (made) =>
      ask(
        made.port,
        '/any',
        { cookie, origin: 'http://evil.example', 'sec-fetch-site': 'cross-site' },
        'POST',
      ),
    status: 403,
    code: 'origin_refused',
    reason:
      /^Origin arrived as "http:\/\/127\.0\.0\.1:\d+", which is this server, .* a proxy writes Origin\./,
  },
  {
    what: 'Origin is removed',
    lines: {
      nginx: 'proxy_set_header Origin "";',
      caddy: 'header_up -Origin',
      haproxy: 'http-request del-header Origin',
    },
    sent: (made) => opened(made, { origin: own(made), cookie }),
    status: 401,
    code: 'auth_required',
    reason: /did not count, because it has no Origin; .* If a proxy removed it, delete that line/,
  },
  {
    what: 'Host is replaced',
    lines: {
      nginx: 'proxy_set_header Host $proxy_host;\n    proxy_set_header X-Forwarded-Host $http_host;',
      // It says the name of clients in X-Forwarded-Host by itself.
      caddy: 'header_up Host {upstream_hostport}',
      haproxy:
        'http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  http-request set-header Host app.internal',
    },
    sent: (made) => ask(made.port, '/any', { cookie }),
    status: 403,
    code: 'host_refused',
    reason:
      /^Host arrived as "(127\.0\.0\.1:\d+|app\.internal)"; .* The forwarded name is "127\.0\.0\.1:\d+"\. /,
  },
  {
    what: 'Upgrade is lost',
    lines: {
      nginx: 'proxy_set_header Upgrade "";\n    proxy_set_header Connection "";',
      caddy: 'header_up -Upgrade\n    header_up -Connection',
      haproxy: 'http-request del-header Upgrade\n  http-request del-header Connection',
    },
    sent: (made) => opened(made, { origin: own(made), cookie }),
    status: 426,
    code: 'upgrade_required',
    reason: /^A WebSocket handshake .* a proxy dropped it\./,
  },
  {
    what: 'a password of the proxy stands in Authorization',
    lines: { nginx: '', caddy: '', haproxy: '' },
    sent: (made) => ask(made.port, '/any', { cookie, authorization: 'Basic ZnJvbnQ6c2VjcmV0' }),
    status: 401,
    code: 'invalid_credential',
    reason: /^Authorization arrived with the scheme word Basic, which no scheme of this gate uses\./,
  },
]

const refusalsOf = (events: readonly AuditEvent[]) => events.filter((event) => event.type === 'refused')

describe.each(['nginx', 'caddy', 'haproxy'] as const)('behind %s', (name) => {
  describe.skipIf(!hasProxy(name))('with the configuration of the guide and one wrong line', () => {
    it.each(mistakes)('$what', async ({ lines, sent, status, code, reason }) => {
      const made = await stage(
        (text) => (lines[name] === '' ? text : withLines[name](text, lines[name])),
        name,
      )
      const answer = await sent(made)
      expect(answer.status).toBe(status)
      const [refused] = refusalsOf(made.events)
      expect(refused).toMatchObject({ code, reason: expect.stringMatching(reason) })
      expect(made.lines.filter((line) => line.includes('"reason":'))).toEqual([
        expect.stringContaining(`"code":"${code}"`),
      ])
      const told = String(refused?.reason).slice(0, 30)
      for (const word of [told, 'proxy_set_header', 'header_up', 'http-request', 'ignoreAuthorization'])
        expect(answer.body ?? '').not.toContain(word)
    })

    it('Upgrade is added to everything, and the operator reads it once', async () => {
      const line = {
        nginx: 'proxy_set_header Upgrade websocket;\n    proxy_set_header Connection upgrade;',
        caddy: 'header_up Upgrade websocket\n    header_up Connection upgrade',
        haproxy: 'http-request set-header Upgrade websocket\n  http-request set-header Connection upgrade',
      }
      const { port, lines } = await stage((text) => withLines[name](text, line[name]), name)
      // haproxy makes half a handshake of it, with a key, which is refused as one.
      const [open, closed] = name === 'haproxy' ? [426, 426] : [200, 401]
      for (let i = 0; i < 2; i++) {
        const answer = await ask(port, '/health')
        expect(answer.status).toBe(open)
        expect(answer.body).not.toContain('haproxy')
        expect((await ask(port, '/any')).status).toBe(closed)
      }
      expect(await upgradeStatus(port)).toBe(401)
      expect(lines.filter((text) => text.startsWith('A proxy seems to add Upgrade'))).toEqual([
        expect.stringContaining(
          name === 'haproxy' ? 'http-request set-header Upgrade' : 'proxy_set_header Upgrade',
        ),
      ])
    })
  })
})
