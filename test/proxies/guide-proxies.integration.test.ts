// Needs Debian's nginx, haproxy and caddy.
/* The configurations that the guide prints, and the usual mistakes in it, through the real proxies. */
import { afterEach, describe, expect, it } from 'vitest'
import { ask, endStages, later, stage, upgradeStatus } from './guarded-stage.ts'
import { hasProxy, startProxy } from './programs.ts'

afterEach(endStages)

describe.each(['nginx', 'caddy', 'haproxy'] as const)('%s', (name) => {
  it.skipIf(!hasProxy(name))('changes nothing with the text of the guide', async () => {
    const { port, events } = await stage(undefined, name)
    expect((await ask(port, '/health')).status).toBe(200)
    // No login, and nothing wrong with Host.
    expect((await ask(port, '/any')).status).toBe(401)
    expect(await upgradeStatus(port)).toBe(401)
    const reasons = events.map((event) => (event.type === 'refused' ? event.reason : 'none'))
    // These clients are on loopback themselves, where the proxy is.
    const inRanges = expect.stringMatching(/^Every address in X-Forwarded-For is in `trustedProxies`[^`]*$/)
    expect(reasons.slice(1)).toEqual([inRanges, inRanges])
  })
})

describe.skipIf(!hasProxy('nginx'))('nginx', () => {
  it('names the line that drops the port of Host', async () => {
    const { port, events } = await stage((text) => text.replace('$http_host', '$host'))
    const { status, body } = await ask(port, '/any')
    expect([status, JSON.parse(body).code]).toEqual([403, 'host_refused'])
    expect(body).not.toContain('proxy_set_header')
    expect(events[0]).toMatchObject({
      reason: expect.stringContaining('nginx drops it with `proxy_set_header Host $host;`'),
    })
  })

  it('says that a cookie did not count because Origin was removed, and not to the client', async () => {
    const { port, events } = await stage((text) =>
      text.replace(/.*proxy_set_header Host.*\n/, (line) => `${line}proxy_set_header Origin "";\n`),
    )
    const origin = `http://127.0.0.1:${port}`
    expect(await upgradeStatus(port, { origin, cookie: 'upgate_session=a-session' })).toBe(401)
    expect(events[0]).toMatchObject({
      code: 'auth_required',
      reason: expect.stringContaining(
        'If a proxy removed it, delete that line (`proxy_set_header Origin "";` in nginx',
      ),
    })
  })

  it('names a Host that HTTP/1.0 left out', async () => {
    const { port, events } = await stage((text) =>
      text
        .replace(/.*proxy_http_version.*\n/, '')
        .replace(/.*proxy_set_header Host.*\n/, 'proxy_set_header Host "";\n'),
    )
    const { status, body } = await ask(port, '/any')
    expect([status, JSON.parse(body).code]).toEqual([403, 'host_refused'])
    expect(events[0]).toMatchObject({ reason: expect.stringMatching(/^No Host arrived, as in HTTP\/1\.0; /) })
  })

  it('counts the client behind two proxies, once both are trusted', async () => {
    const inner = await stage()
    const outer = await startProxy(
      'nginx',
      (port) => `server { listen 127.0.0.1:${port}; location / {
        proxy_pass http://127.0.0.1:${inner.port};
        proxy_set_header Host 127.0.0.1:${inner.port};
        proxy_set_header X-Forwarded-For 203.0.113.9;
      } }`,
    )
    later(() => outer.stop())
    // The outer proxy says which client it has; the inner one appends the outer one's address.
    expect((await ask(outer.port, '/any', { 'X-Forwarded-For': '198.51.100.1' })).status).toBe(401)
    expect(inner.events[0]).toMatchObject({ place: { clientAddress: '203.0.113.9' } })
  })

  it('answers 426 where Upgrade was lost, on a required path as well', async () => {
    const { port, events } = await stage((text) => text.replace(/.*proxy_set_header Upgrade.*\n/, ''))
    expect(await upgradeStatus(port)).toBe(426)
    expect(events[0]).toMatchObject({
      code: 'upgrade_required',
      reason: expect.stringContaining('a proxy dropped it'),
    })
  })

  it.each([
    ['HTTP/1.1', /(?!)/],
    ['HTTP/1.0', /.*proxy_http_version.*\n/],
  ])(
    'may add Upgrade to everything, in %s, and the site is answered all the same',
    async (_version, left) => {
      const { port, lines } = await stage((text) =>
        text
          .replace('$http_upgrade;', 'websocket;')
          .replace('$connection_upgrade;', 'upgrade;')
          .replace(left, ''),
      )
      for (let i = 0; i < 3; i++) {
        expect(await ask(port, '/health')).toEqual({ status: 200, body: 'a page' })
        expect((await ask(port, '/any')).status).toBe(401)
      }
      const posted = await fetch(`http://127.0.0.1:${port}/health`, {
        method: 'POST',
        body: 'x'.repeat(200_000),
      })
      expect([posted.status, await posted.text()]).toEqual([200, 'a page'])
      // A real handshake stays one.
      expect(await upgradeStatus(port)).toBe(401)
      expect(lines.filter((line) => line.startsWith('A proxy seems to add Upgrade'))).toEqual([
        expect.stringContaining('proxy_set_header Upgrade $http_upgrade;'),
      ])
    },
  )

  it('warns of an Origin that it writes, by a navigation', async () => {
    const { port, lines } = await stage((text) =>
      text.replace(
        'proxy_set_header Host',
        'proxy_set_header Origin http://$http_host;\n    proxy_set_header Host',
      ),
    )
    await ask(port, '/health', { 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'none' })
    expect(lines).toContainEqual(
      expect.stringMatching(/^A proxy seems to write Origin\. .*A navigation arrived with Origin/),
    )
  })
})
