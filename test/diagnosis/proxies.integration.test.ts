import { afterEach, describe, expect, test } from 'vitest'
import { freePort } from '../free-port.ts'
import { hasProxy, type ProxyName, startProxy } from '../proxies/programs.ts'
import { startGate } from './gate.ts'
import { askClient, askDoctor } from './run.ts'
import { Stage } from './stage.ts'

/* Needs nginx, haproxy and Caddy. Proxies that drop the Upgrade, know no route, or cannot reach their server. */

const stages: Stage[] = []
afterEach(async () => {
  for (const stage of stages.splice(0)) await stage.end()
})

type Case = readonly [
  name: string,
  code: string,
  configure: (port: number, gate: number, free: number) => string,
]

const frontend = (port: number, gate: number, lines = ''): string =>
  `frontend in
  bind 127.0.0.1:${port}
  ${lines}
  default_backend gate
backend gate
  server one 127.0.0.1:${gate}`

const cases: Readonly<Record<ProxyName, readonly Case[]>> = {
  nginx: [
    [
      'without the two lines that keep Upgrade',
      'upgrade_lost',
      (port, gate) =>
        `server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${gate}; } }`,
    ],
    [
      'without a location for the path',
      'proxy_no_route',
      (port) => `server { listen 127.0.0.1:${port}; location / { return 404; } }`,
    ],
    [
      'with a server that does not run',
      'proxy_bad_gateway',
      (port, _, free) =>
        `server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${free}; } }`,
    ],
    [
      'that answers 503 itself',
      'proxy_over_capacity',
      (port) => `server { listen 127.0.0.1:${port}; location / { return 503; } }`,
    ],
  ],
  haproxy: [
    [
      'that deletes Upgrade',
      'upgrade_lost',
      (port, gate) =>
        frontend(port, gate, 'http-request del-header Upgrade\n  http-request del-header Connection'),
    ],
    // By default it tries the server three times more, a second apart, and answers the same then.
    [
      'without a server that runs',
      'proxy_over_capacity',
      (port, _, free) => `${frontend(port, free)}\n  retries 0`,
    ],
  ],
  caddy: [
    [
      'that deletes Upgrade',
      'upgrade_lost',
      (port, gate) =>
        `http://127.0.0.1:${port} {
  reverse_proxy 127.0.0.1:${gate} {
    header_up -Upgrade
    header_up -Connection
  }
}`,
    ],
    [
      'with a server that does not run',
      'proxy_bad_gateway',
      (port, _, free) => `http://127.0.0.1:${port} {\n  reverse_proxy 127.0.0.1:${free}\n}`,
    ],
    [
      'without a route for the path',
      'proxy_no_route',
      (port) => `http://127.0.0.1:${port} {\n  respond 404\n}`,
    ],
  ],
}

for (const program of ['nginx', 'haproxy', 'caddy'] as const) {
  describe.skipIf(!hasProxy(program))(program, () => {
    test.each(cases[program])('%s: %s, by client and doctor', async (_name, code, configure) => {
      const stage = new Stage()
      stages.push(stage)
      const { port: gate } = await startGate(stage)
      const free = await freePort()
      const proxy = await startProxy(program, (port) => configure(port, gate, free))
      stage.later(() => proxy.stop())
      const started = { url: `${proxy.origin.replace('http', 'ws')}/ws` }
      const [client, doctor] = [await askClient(started), await askDoctor(started)]
      expect({ client: client.code, doctor: doctor.code }).toEqual({ client: code, doctor: code })
    })
  })
}
