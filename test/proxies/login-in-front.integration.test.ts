// Needs Debian's nginx.
import { writeFileSync } from 'node:fs'
import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createGate, fromRequest, type GateOptions } from 'upgate'
import { httpGate } from 'upgate/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasProxy, type ProxyProgram, startProxy } from './programs.ts'

// A password of nginx in front of an application with sessions: it comes with every request.

async function listen(options: Partial<GateOptions>): Promise<Server> {
  const gate = createGate({
    origins: ['http://app.example.com'],
    hosts: ['app.example.com'],
    schemes: [fromRequest(({ headers }) => (headers.cookie === 'app=1' ? { id: 'ada' } : null))],
    trustedProxies: ['127.0.0.1', 'cloudflare'],
    ...options,
  })
  const server = createServer(
    httpGate(gate, (req, res) => {
      const address = gate.clientAddressOf({ ...plain, headers: req.headers as Record<string, string> })
      res.end(`${gate.principalOf(req)?.id} from ${address}`)
    }),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

/** Of a request, all that the client's address does not depend on. */
const plain = {
  kind: 'http',
  method: 'GET',
  target: '/',
  rawHeaders: [],
  peerAddress: '127.0.0.1',
  encrypted: false,
} as const

describe.skipIf(!hasProxy('nginx'))('a password of nginx', () => {
  let servers: Server[]
  let proxies: ProxyProgram[]
  beforeAll(async () => {
    servers = [await listen({ ignoreAuthorization: ['Basic'] }), await listen({})]
    proxies = await Promise.all(
      servers.map((server) =>
        startProxy('nginx', (port, folder) => {
          writeFileSync(join(folder, 'passwords'), 'front:{PLAIN}secret\n')
          return `server {
  listen 127.0.0.1:${port};
  location / {
    auth_basic "front";
    auth_basic_user_file ${folder}/passwords;
    proxy_pass http://127.0.0.1:${(server.address() as AddressInfo).port};
    proxy_set_header Host app.example.com;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  }
}`
        }),
      ),
    )
  })
  afterAll(async () => {
    for (const proxy of proxies ?? []) await proxy.stop()
    for (const server of servers ?? []) await new Promise((resolve) => server.close(resolve))
  })

  const ask = (proxy: number, headers: Record<string, string>): Promise<string> => {
    const authorization = `Basic ${Buffer.from('front:secret').toString('base64')}`
    const { port } = proxies[proxy] as ProxyProgram
    // From another address than the proxy's: only the proxy is trusted.
    const from = { host: '127.0.0.1', port, localAddress: '127.0.0.2' }
    return new Promise((resolve, reject) => {
      httpRequest({ ...from, headers: { authorization, ...headers } }, (response) => {
        let text = `${response.statusCode} `
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('end', () => resolve(text))
      })
        .on('error', reject)
        .end()
    })
  }

  it('makes a good session 401, until it is ignored', async () => {
    expect(await ask(1, { cookie: 'app=1' })).toMatch(/^401 .*invalid_credential/s)
    expect(await ask(0, { cookie: 'app=1' })).toBe('200 ada from undefined')
  })

  it('is no login to the application', async () => {
    expect(await ask(0, {})).toMatch(/^401 .*auth_required/s)
    expect(await ask(0, { cookie: 'app=2' })).toMatch(/^401 .*auth_required/s)
  })

  it('stands in front of tokens as before', async () => {
    expect(await ask(0, { authorization: 'Bearer nonsense', cookie: 'app=1' })).toMatch(/^401 .*nginx/s)
  })

  it('leaves the counted address alone, whatever the client says of itself', async () => {
    for (const forged of [
      { 'X-Forwarded-For': '198.51.100.1' },
      { 'X-Forwarded-For': '198.51.100.1', 'CF-Connecting-IP': '198.51.100.1' },
      { 'CF-Connecting-IP': '127.0.0.1', 'X-Forwarded-For': '198.51.100.1, 162.158.1.1' },
      { X_Forwarded_For: '198.51.100.1', 'X-Real-IP': '198.51.100.1', Forwarded: 'for=198.51.100.1' },
    ]) {
      expect(await ask(0, { cookie: 'app=1', ...forged })).toBe('200 ada from undefined')
    }
  })
})
