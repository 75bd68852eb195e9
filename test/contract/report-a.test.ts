import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { handshake, raw, request, textFrame } from '../../packages/upgate/test/adapters/raw.ts'

// The story. A gateway has a login in front: a cookie check before every page and every upgrade. Remote nodes
// connect to `new WebSocketServer({ server, path: '/ws' })`. A node has no browser and no cookie. It opens
// `/ws` to send its device token in the first frame, as its protocol says. The check answers the upgrade with
// a redirect to `/login`, and the handler that could have verified the token never runs. `before.mjs` is such
// an application; `after.mjs` is the same application with the repair.

const lines = (name: string): string[] =>
  readFileSync(new URL(`report-a/${name}.mjs`, import.meta.url), 'utf8').split('\n')

const connectFrame = (token: string): Buffer =>
  textFrame(
    JSON.stringify({
      type: 'req',
      id: '1',
      method: 'connect',
      params: { minProtocol: 3, maxProtocol: 4, auth: { token } },
    }),
  )
const goodToken = 'mdt_kitchen-0123456789'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function start(name: 'before' | 'after'): Promise<number> {
  const { server } = (await import(`./report-a/${name}.mjs`)) as { server: Server }
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const page = (port: number, path: string, headers: readonly string[] = []): Promise<string> =>
  raw(port, request(`GET ${path} HTTP/1.1`, ['Connection: close', ...headers])).ended()

describe('a node without HTTP credentials, in an application with a login in front of everything', () => {
  it('is redirected to the login page before', async () => {
    const port = await start('before')
    const answer = await raw(
      port,
      Buffer.concat([Buffer.from(handshake('/ws')), connectFrame(goodToken)]),
    ).ended()
    expect(answer).toMatch(/^HTTP\/1\.1 303 .*\r\nLocation: http:\/\/localhost:8787\/login\r\n/s)
  })

  it('is accepted by its token after, refused without one, and nothing else changes', async () => {
    const port = await start('after')
    const node = raw(port, handshake('/ws'))
    await node.until(/^HTTP\/1\.1 101 /)
    node.socket.write(connectFrame(goodToken))
    await node.until(/"ok":true,"payload":\{"node":"kitchen"\}/)
    node.socket.write(textFrame('hello'))
    await node.until(/echo hello/)
    node.socket.destroy()

    const wrong = raw(
      port,
      Buffer.concat([Buffer.from(handshake('/ws')), connectFrame('mdt_wrong-0123456789ab')]),
    )
    expect(await wrong.until(/invalid_credential/)).not.toContain('"ok":true')
    wrong.socket.destroy()

    expect(await raw(port, handshake('/ws', ['Origin: https://evil.example'])).ended()).toMatch(
      /^HTTP\/1\.1 403 /,
    )
    expect(await page(port, '/api/nodes')).toMatch(
      /^HTTP\/1\.1 303 .*\r\nLocation: http:\/\/localhost:8787\/login\r\n/s,
    )
    expect(await page(port, '/api/nodes', ['Cookie: sid=s-of-alice'])).toMatch(/\["kitchen"\]$/)
    expect(await page(port, '/login')).toMatch(/please log in$/)
  })

  it('takes at most six new lines, and removes none', () => {
    const before = lines('before')
    const after = lines('after')
    const rest = [...after]
    for (const line of before) {
      const at = rest.indexOf(line)
      expect([line, at]).not.toEqual([line, -1])
      rest.splice(at, 1)
    }
    expect(rest.every((line) => line.length <= 110)).toBe(true)
    expect(rest.length).toBe(6)
    // Nothing was reordered: without its new lines, `after` equals `before`.
    expect(after.filter((line) => !rest.includes(line))).toEqual(before)
  })
})
