import { describe, expect, test } from 'vitest'
import type { Revocation } from '../../src/core/ports/revocations.ts'
import { memoryBus, memoryStore } from '../../src/index.ts'
import { setUp } from './setup.ts'

describe('revoking a session that another system keeps', () => {
  test('is announced to every instance, with its number in the log', async () => {
    const store = memoryStore()
    const bus = memoryBus()
    const [here, there] = [setUp({ store, bus }), setUp({ store, bus })]
    await Promise.all([here.revocations.sync(), there.revocations.sync()])
    const heard: [string, Revocation][] = []
    here.revocations.subscribe((revocation) => heard.push(['here', revocation]))
    there.revocations.subscribe((revocation) => heard.push(['there', revocation]))
    const entry = await here.revocations.revoke({ scheme: 'elsewhere', sessionId: 's1' }, 'logged_out')
    expect(heard[0]).toEqual(['here', entry])
    expect(entry).toMatchObject({ selector: { scheme: 'elsewhere', sessionId: 's1' }, reason: 'logged_out' })
    await there.revocations.sync()
    expect(heard.filter(([where]) => where === 'there')).toEqual([['there', entry]])
    expect(await here.revocations.revoke({ principalId: 'ada' })).toMatchObject({
      sequence: entry.sequence + 1,
      reason: 'revoked',
    })
    await Promise.all([here.close(), there.close()])
  })

  test('that cannot be written rejects, and has no effect', async () => {
    const services = setUp()
    await services.revocations.sync()
    services.broken.add('revocations.append')
    const heard: Revocation[] = []
    services.revocations.subscribe((revocation) => heard.push(revocation))
    await expect(services.revocations.revoke({ principalId: 'ada' })).rejects.toMatchObject({
      name: 'StoreUnavailable',
    })
    expect(heard).toEqual([])
  })

  // `{ sessionId: undefined }` matched every session: one unset variable logged all users out.
  test.each([
    [{}, 'revoked', /selector is empty/],
    [undefined, 'revoked', /selector is empty/],
    [{ sessionId: undefined }, 'revoked', /`sessionId`/],
    [{ principalId: '' }, 'revoked', /`principalId`/],
    [{ user: 'ada' }, 'revoked', /`user`/],
    [{ principalId: 'ada' }, 'expired', /`reason`/],
    [{ principalId: 'ada' }, 'because', /`reason`/],
  ])('%j as %s is refused and writes nothing', async (selector, reason, message) => {
    const services = setUp()
    await expect(services.revocations.revoke(selector as never, reason as never)).rejects.toThrow(message)
    await expect(services.revocations.revoke(selector as never, reason as never)).rejects.toThrow(TypeError)
    expect(services.calls).not.toContain('revocations.append')
  })
})
