// Needs Debian's nginx, haproxy and caddy.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasProxy, type ProxyName, startProxy } from './programs.ts'

/** The shortest configuration with which each proxy forwards to an upstream. */
const shortest: Readonly<Record<ProxyName, (port: number, upstream: number) => string>> = {
  nginx: (port, upstream) =>
    `server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${upstream}; } }`,
  haproxy: (port, upstream) => `frontend web
  bind 127.0.0.1:${port}
  default_backend app
backend app
  server app 127.0.0.1:${upstream}`,
  caddy: (port, upstream) => `http://127.0.0.1:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${upstream}
}`,
}

const server = createServer((request, response) => response.end(`upstream saw ${request.headers.host}`))
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
afterAll(() => new Promise((resolve) => server.close(resolve)))

for (const name of ['nginx', 'haproxy', 'caddy'] as const) {
  describe.skipIf(!hasProxy(name))(name, () => {
    it('starts on a free port, forwards, and stops', async () => {
      const upstream = (server.address() as AddressInfo).port
      const proxy = await startProxy(name, (port) => shortest[name](port, upstream))
      try {
        const response = await fetch(proxy.origin)
        expect(response.status).toBe(200)
        expect(await response.text()).toMatch(/^upstream saw /)
      } finally {
        await proxy.stop()
      }
      await expect(fetch(proxy.origin)).rejects.toThrow('fetch failed')
    })

    it('says why it does not start', async () => {
      await expect(startProxy(name, () => '} no such block {')).rejects.toThrow(
        new RegExp(`^${name} did not start: .+`, 's'),
      )
    })
  })
}
