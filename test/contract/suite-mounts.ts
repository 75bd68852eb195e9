import { describe, expect, it } from 'vitest'
import { handshake, raw } from '../../packages/upgate/test/adapters/raw.ts'
import type { Contender } from './contenders.ts'
import { expectRefusal } from './expectations.ts'
import { type ContractStage, foreign } from './stage.ts'

export function describeMounts(s: ContractStage, contender: Contender): void {
  const { stage, ask } = s

  describe('mounts and rewrites', () => {
    it('decides by the whole path when it is mounted below a prefix', async ({ skip }) => {
      if (!contender.mounts) return skip('this contender has no mounts')
      const { port } = await stage({ prefix: '/api' })
      expectRefusal(await ask(port, 'get', '/api/things'), 401, 'auth_required')
      expectRefusal(await ask(port, 'get', '/api'), 401, 'auth_required')
      expectRefusal(await ask(port, 'get', '/api?x=1'), 401, 'auth_required')
      expect((await ask(port, 'get', '/elsewhere')).status).toBe(200)
      const key = `Bearer ${s.credentials.key}`
      expectRefusal(
        await ask(port, 'get', '/api/admin/x').set('Authorization', key),
        403,
        'insufficient_scope',
      )
      expect((await ask(port, 'get', '/api/things').set('Authorization', key)).status).toBe(200)
      expect((await ask(port, 'get', '/api/things?x=1').set('Authorization', key)).status).toBe(200)
    })

    it('finds public rules below a prefix, even if the mount is the whole path', async ({ skip }) => {
      if (!contender.mounts) return skip('this contender has no mounts')
      for (const prefix of ['/tenant', '/tenant/public']) {
        const { port } = await stage({ prefix })
        for (const path of ['/tenant/public', '/tenant/public?x=/y']) {
          const answer = await ask(port, 'get', path)
          expect([prefix, path, answer.status]).toEqual([prefix, path, 200])
        }
      }
    })

    it('is not opened by a rewrite before it', async ({ skip }) => {
      if (!contender.rewrites) return skip('this contender rewrites no URLs')
      const { port } = await stage({ rewrite: ['/assets/back-door', '/api/things'] })
      expectRefusal(await ask(port, 'get', '/assets/back-door'), 401, 'auth_required')
      const key = await ask(port, 'get', '/assets/back-door').set(
        'Authorization',
        `Bearer ${s.credentials.key}`,
      )
      expect(JSON.parse(key.text).principal).toBe('ci')
    })

    it('is not opened by a rewrite of a protected path to a public one', async ({ skip }) => {
      if (!contender.rewrites) return skip('this contender rewrites no URLs')
      const { port } = await stage({ rewrite: ['/api/things', '/health'] })
      expectRefusal(await ask(port, 'get', '/api/things'), 401, 'auth_required')
      expect((await ask(port, 'get', '/health')).status).toBe(200)
    })
  })

  describe('upgrades without a handler', () => {
    it('are ordinary requests, under the rules for upgrades', async ({ skip }) => {
      if (contender.guardsSockets) return skip('this contender takes upgrades itself')
      const { port } = await stage()
      const deferred = await raw(port, handshake('/ws', ['Connection: close'])).ended()
      expect(deferred).toMatch(/^HTTP\/1\.1 426 /)
      expect(deferred).toMatch(/took charge of the socket/)
      const anonymous = await raw(port, handshake('/ws/chat')).until(/\r\n\r\n/)
      expect(anonymous).toMatch(/^HTTP\/1\.1 401 /)
      const crossSite = raw(
        port,
        handshake('/ws/chat', [`Cookie: ${s.credentials.cookie}`, `Origin: ${foreign}`]),
      )
      expect(await crossSite.until(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 403 /)
      const withoutOrigin = raw(port, handshake('/ws/chat', [`Cookie: ${s.credentials.cookie}`]))
      expect(await withoutOrigin.until(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 401 /)
      expect(s.reached).toEqual([])
    })
  })
}
