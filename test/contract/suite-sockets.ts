import { describe, expect, it } from 'vitest'
import {
  handshake,
  type RawClient,
  raw,
  request,
  textFrame,
} from '../../packages/upgate/test/adapters/raw.ts'
import { expectRefusal, expectUpgradeRefusal } from './expectations.ts'
import { type ContractStage, foreign, origin } from './stage.ts'

export function describeSockets(s: ContractStage): void {
  const { stageWithSockets, ask } = s

  describe('sockets', () => {
    const token = (value: string): Buffer => textFrame(JSON.stringify({ token: value }))

    async function open(
      port: number,
      bytes: string | Buffer,
      frames: readonly Buffer[] = [],
    ): Promise<RawClient> {
      return raw(port, Buffer.concat([Buffer.from(bytes as string, 'latin1'), ...frames]))
    }

    it('admits a node that has no HTTP credential and proves itself in its first frame', async () => {
      const { port } = await stageWithSockets()
      const client = await open(port, handshake('/ws'))
      await client.until(/^HTTP\/1\.1 101 /)
      client.socket.write(token(s.credentials.device))
      await client.until(/welcome node-1 on \/ws/)
      client.socket.destroy()
    })

    it('keeps pipelined frames, in order', async () => {
      const { port } = await stageWithSockets()
      const frames = [token(s.credentials.device), textFrame('one'), textFrame('two'), textFrame('three')]
      for (const slow of [false, true]) {
        s.credentials.slow = slow
        const client = await open(port, handshake('/ws'), frames)
        expect(await client.until(/echo three/)).toMatch(/welcome node-1.*echo one.*echo two.*echo three/s)
        client.socket.destroy()
      }
      s.credentials.slow = true
      const chat = await open(
        port,
        handshake('/ws/chat', [`Cookie: ${s.credentials.cookie}`, `Origin: ${origin}`]),
        [textFrame('one'), textFrame('two')],
      )
      expect(await chat.until(/echo two/)).toMatch(/welcome alice on \/ws\/chat.*echo one.*echo two/s)
      chat.socket.destroy()
    })

    it('accepts a proof by HTTP too', async () => {
      const { port } = await stageWithSockets()
      const client = await open(port, handshake('/ws', [`Authorization: Bearer ${s.credentials.device}`]))
      await client.until(/welcome node-1 on \/ws/)
      client.socket.destroy()
    })

    it('does not let a bad HTTP credential block the protocol', async () => {
      const { port } = await stageWithSockets()
      for (const header of [
        `Cookie: ${s.credentials.badCookie}`,
        'Authorization: Bearer device_wrong',
        'Authorization: Basic abc',
      ]) {
        const client = await open(port, handshake('/ws', [header]))
        await client.until(/^HTTP\/1\.1 101 /)
        client.socket.write(token(s.credentials.device))
        await client.until(/welcome node-1 on \/ws/)
        client.socket.destroy()
      }
    })

    it('refuses a wrong token in the protocol, and never reaches the application', async () => {
      const { port } = await stageWithSockets()
      const client = await open(port, handshake('/ws'), [token('device_wrong')])
      const text = await client.ended()
      expect(text).toMatch(/^HTTP\/1\.1 101 /)
      expect(text).toContain('invalid_credential')
      expect(text).not.toContain('welcome')
    })

    it('opens the chat to a cookie from our own page only', async () => {
      const { port } = await stageWithSockets()
      const cookie = `Cookie: ${s.credentials.cookie}`
      const client = await open(port, handshake('/ws/chat', [cookie, `Origin: ${origin}`]))
      await client.until(/welcome alice on \/ws\/chat/)
      client.socket.destroy()

      const crossSite = await (
        await open(port, handshake('/ws/chat', [cookie, `Origin: ${foreign}`]))
      ).ended()
      expectUpgradeRefusal(crossSite, 403, 'origin_refused')
      const sandboxed = await (await open(port, handshake('/ws/chat', [cookie, 'Origin: null']))).ended()
      expectUpgradeRefusal(sandboxed, 403, 'origin_refused')
      const withoutOrigin = await (await open(port, handshake('/ws/chat', [cookie]))).ended()
      expectUpgradeRefusal(withoutOrigin, 401, 'auth_required')
      const device = await (
        await open(port, handshake('/ws/chat', [`Authorization: Bearer ${s.credentials.device}`]))
      ).ended()
      expectUpgradeRefusal(device, 403, 'kind_not_allowed')
    })

    it('refuses a foreign page on the deferred path before the upgrade', async () => {
      const { port } = await stageWithSockets()
      const answer = await (await open(port, handshake('/ws', [`Origin: ${foreign}`]))).ended()
      expectUpgradeRefusal(answer, 403, 'origin_refused')
    })

    it('answers upgrades on unknown paths', async () => {
      const { port } = await stageWithSockets()
      const stranger = await (await open(port, handshake('/nowhere'))).ended()
      expectUpgradeRefusal(stranger, 401, 'auth_required')
      const known = await (
        await open(port, handshake('/nowhere', [`Authorization: Bearer ${s.credentials.keyWithScope}`]))
      ).ended()
      expectUpgradeRefusal(known, 403, 'kind_not_allowed')
      const user = handshake('/nowhere', [`Cookie: ${s.credentials.cookie}`, `Origin: ${origin}`])
      expectUpgradeRefusal(await (await open(port, user)).ended(), 404, 'unknown_path')
      const page = await (await open(port, handshake('/health'))).ended()
      expectUpgradeRefusal(page, 401, 'auth_required')
    })

    it('reads hostile upgrade targets as strictly as other targets', async () => {
      const { port } = await stageWithSockets()
      for (const target of [
        '/ws/',
        '/WS',
        '/./ws',
        '//ws',
        '/x/../ws',
        '/%77s',
        '/ws%2f',
        '/ws;x',
        '//[',
        'http://evil/ws',
        '/ws#',
      ]) {
        const answer = await (await open(port, handshake(target), [token(s.credentials.device)])).ended()
        expect([target, answer]).toEqual([target, expect.stringMatching(/^HTTP\/1\.1 40[01] /)])
        expect(answer).toMatch(/\r\nUpgate-Refusal: /)
      }
      const query = await open(port, handshake('/ws?x=/../chat'), [token(s.credentials.device)])
      await query.until(/welcome node-1/)
      query.socket.destroy()
    })

    it('refuses upgrades that are no WebSocket handshake', async () => {
      const { port } = await stageWithSockets()
      const h2c = request('GET /ws HTTP/1.1', [
        'Connection: Upgrade, HTTP2-Settings',
        'Upgrade: h2c',
        'HTTP2-Settings: AAMAAABk',
      ])
      expectUpgradeRefusal(await (await open(port, h2c)).ended(), 426, 'upgrade_required')
      const withBody = handshake('/ws', ['Content-Length: 5'])
      expectUpgradeRefusal(await (await open(port, `${withBody}hello`)).ended(), 400, 'malformed_upgrade')
      const chunked = handshake('/ws', ['Transfer-Encoding: chunked'])
      expectUpgradeRefusal(await (await open(port, `${chunked}0\r\n\r\n`)).ended(), 400, 'malformed_upgrade')
      const post = handshake('/ws').replace('GET', 'POST')
      expectUpgradeRefusal(await (await open(port, post)).ended(), 400, 'malformed_upgrade')
      const old = handshake('/ws').replace('Version: 13', 'Version: 8')
      expectUpgradeRefusal(await (await open(port, old)).ended(), 426, 'unsupported_upgrade')
      expect(s.reached).toEqual([])
    })

    it('answers CONNECT itself', async () => {
      const { port } = await stageWithSockets()
      const answer = await raw(port, request('CONNECT evil.example:443 HTTP/1.1')).ended()
      expect(answer).not.toMatch(/^HTTP\/1\.1 2/)
    })

    it('answers 503 on strict paths when the store is down, and never 101', async () => {
      const { port } = await stageWithSockets()
      s.credentials.down = true
      const cookie = `Cookie: ${s.credentials.cookie}`
      const answer = await (await open(port, handshake('/ws/chat', [cookie, `Origin: ${origin}`]))).ended()
      expect(answer).not.toMatch(/welcome/)
      const key = await (
        await open(port, handshake('/ws/chat', [`Authorization: Bearer ${s.credentials.key}`]))
      ).ended()
      expectUpgradeRefusal(key, 503, 'unavailable')
      expect(key).toMatch(/\r\nRetry-After: 7\r\n/)
    })

    it('still serves HTTP', async () => {
      const { port } = await stageWithSockets()
      expect((await ask(port, 'get', '/health')).status).toBe(200)
      const answer = await ask(port, 'get', '/api/things').set('Cookie', s.credentials.cookie)
      expect(JSON.parse(answer.text)).toEqual({ handled: true, principal: 'alice' })
      expectRefusal(await ask(port, 'get', '/api/things'), 401, 'auth_required')
      expect(s.reached).toEqual(['GET /health', 'GET /api/things'])
    })
  })
}
