// Needs Debian's nginx, haproxy and caddy.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, request as httpRequest, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGate, trustedHeader } from 'upgate'
import { guardServer } from 'upgate/ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { hasProxy, type ProxyName, type ProxyProgram, startProxy } from './programs.ts'

// A proxy passes the name of its user on, by a Unix socket that it alone can connect to.

const folder = mkdtempSync(join(tmpdir(), 'upgate-identity-'))
const path = join(folder, 'gate.sock')
const pageOrigin = 'http://app.example.com'
const gate = createGate({
  origins: [pageOrigin],
  ignoreAuthorization: ['Basic'],
  rules: [{ path: '/open', access: 'public' }],
  schemes: [
    trustedHeader({
      headers: { user: 'Remote-User', email: 'Remote-Email' },
      peers: [path],
      identify: ({ user, email }) => (user === 'ada' ? { id: `u1 ${email}` } : null),
    }),
  ],
})
const server: Server = createServer((req, res) => {
  const seen = req.rawHeaders
    .filter((_, i) => i % 2 === 0)
    .filter((name) => /^remote.(user|email)$/i.test(name))
  // haproxy writes names in lower case.
  res.end(`${gate.principalOf(req)?.id ?? 'anonymous'}; ${seen.join().toLowerCase()}`)
})
guardServer(server, gate, { sockets: { '/ws': new WebSocketServer({ noServer: true }) } }).on(
  '/ws',
  (socket, _, principal) => socket.send(principal.id),
)
// A second way in, past the proxy.
const past = createServer((req, res) => server.emit('request', req, res))
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(path, resolve))
  chmodSync(path, 0o600)
  await new Promise<void>((resolve) => past.listen(0, '127.0.0.1', resolve))
})
afterAll(async () => {
  server.closeAllConnections()
  past.closeAllConnections()
  await Promise.all([server, past].map((each) => new Promise((resolve) => each.close(resolve))))
  rmSync(folder, { recursive: true, force: true })
})

/** The user that logged in is taken from `X-Test-User`, in place of a login. */
const configurations: Readonly<Record<ProxyName, (port: number) => string>> = {
  nginx: (port) => `server {
  listen 127.0.0.1:${port};
  location / {
    set $user $http_x_test_user;
    proxy_pass http://unix:${path}:;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $http_connection;
    proxy_set_header Remote-User $user;
    proxy_set_header Remote-Email "";
  }
}`,
  caddy: (port) => `http://:${port} {
  bind 127.0.0.1
  request_header -Remote-*
  request_header Remote-User {header.X-Test-User}
  reverse_proxy unix/${path}
}`,
  haproxy: (port) => `frontend web
  bind 127.0.0.1:${port}
  http-request del-header remote -m beg
  http-request set-header Remote-User %[req.hdr(x-test-user)] if { req.hdr(x-test-user) -m found }
  default_backend app
backend app
  server app unix@${path}`,
}

function ask(
  port: number,
  target: string,
  headers: Record<string, string>,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    httpRequest(
      { host: '127.0.0.1', port, path: target, headers: { Host: 'app.example.com', ...headers } },
      (response) => {
        let body = ''
        response.on('data', (chunk) => {
          body += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    )
      .on('error', reject)
      .end()
  })
}

for (const name of ['nginx', 'caddy', 'haproxy'] as const) {
  describe.skipIf(!hasProxy(name))(`identity headers behind ${name}`, () => {
    let proxy: ProxyProgram
    beforeAll(async () => {
      proxy = await startProxy(name, configurations[name])
    })
    afterAll(() => proxy?.stop())

    const get = async (at: string, headers: Record<string, string>): Promise<string> => {
      const { status, body } = await ask(Number(new URL(at).port), '/x', headers)
      return `${status} ${body}`
    }

    it('lets the account of the user in, and refuses users without one', async () => {
      expect(await get(proxy.origin, { 'X-Test-User': 'ada' })).toBe('200 u1 undefined; remote-user')
      expect(await get(proxy.origin, { 'X-Test-User': 'nina' })).toMatch(/^403 .*unknown_identity/s)
      expect(await get(proxy.origin, {})).toMatch(/^401 .*auth_required/s)
    })

    it('takes nothing from a client that sends the headers itself', async () => {
      for (const forged of [
        { 'Remote-User': 'ada' },
        { 'REMOTE-USER': 'ada', remote_user: 'ada' },
        { Remote_User: 'ada', 'Remote.User': 'ada' },
      ]) {
        expect(await get(proxy.origin, forged)).toMatch(/^401 .*auth_required/s)
        expect(await get(proxy.origin, { ...forged, 'X-Test-User': 'nina' })).toMatch(/^403 /)
      }
      const claimed = { 'Remote-Email': 'root@example.com', remote_email: 'root@example.com' }
      expect(await get(proxy.origin, { 'X-Test-User': 'ada', ...claimed })).toBe(
        '200 u1 undefined; remote-user',
      )
    })

    it('lets an upgrade in with an allowed Origin alone', async () => {
      const open = (origin?: string): Promise<string> =>
        new Promise((resolve, reject) => {
          const socket = new WebSocket(`${proxy.origin.replace('http', 'ws')}/ws`, {
            headers: { Host: 'app.example.com', 'X-Test-User': 'ada' },
            ...(origin === undefined ? {} : { origin }),
          })
          socket.on('message', (data) => {
            resolve(String(data))
            socket.close()
          })
          socket.on('unexpected-response', (_, response) => {
            resolve(String(response.statusCode))
            socket.terminate()
          })
          socket.on('error', reject)
        })
      expect(await open(pageOrigin)).toBe('u1 undefined')
      expect(await open('http://evil.example')).toBe('403')
      expect(await open()).toBe('401')
    })

    it('takes nothing from a client that comes past the proxy', async () => {
      const address = past.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      const forged = { 'Remote-User': 'ada', 'X-Forwarded-For': '127.0.0.1', 'CF-Connecting-IP': '127.0.0.1' }
      expect((await ask(port, '/x', forged)).status).toBe(401)
      expect((await ask(port, '/open', forged)).body).toBe('anonymous; ')
    })
  })
}
