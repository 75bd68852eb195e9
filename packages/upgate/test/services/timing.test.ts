// The times are measured in docs/threat-model.md; these tests check their causes, which must stay equal.
import { expect, test } from 'vitest'
import { createId, createToken } from '../../src/crypto/tokens.ts'
import { login, outcomeOf, person, type Setup, setUp } from './setup.ts'

/** Store calls and verified hashes during one attempt. */
async function workOf(setup: Setup, work: () => PromiseLike<unknown> | unknown) {
  const [calls, hashes] = [setup.calls.length, setup.hasher.verified.length]
  await work()
  return [setup.calls.slice(calls), setup.hasher.verified.length - hashes]
}

test('a wrong password is as much work for an account that exists, has no password, or does not exist', async () => {
  const setup = setUp()
  await person(setup)
  await setup.accounts.create({ email: 'edge@example.com' })
  const work = (email: string) =>
    workOf(setup, async () => {
      expect(await outcomeOf(setup.accounts.login(email, 'not the password at all'))).toBe(
        'invalid_credential',
      )
    })
  const expected = [['accounts.byEmail'], 1]
  for (const email of ['ada@example.com', 'edge@example.com', 'nobody@example.com', 'no address']) {
    expect([email, await work(email)]).toEqual([email, email === 'no address' ? [[], 1] : expected])
  }
})

test('a wrong secret is as much work for a token that exists, was revoked, or does not exist', async () => {
  const setup = setUp()
  const { id: account } = await person(setup)
  const random = (size: number) => crypto.getRandomValues(new Uint8Array(size))
  const known = await setup.keys.create({ name: 'known' })
  const revoked = await setup.keys.create({ name: 'revoked' })
  await setup.keys.revoke(revoked.id)
  const device = await setup.devices.create({ name: 'known' })
  const session = await login(setup, account)
  const cases = [
    ['ugk', 'keys', [known.id, revoked.id]],
    ['ugd', 'devices', [device.id]],
    ['ugs', 'sessions', [session.session.id]],
  ] as const
  for (const [prefix, service, ids] of cases) {
    for (const id of [...ids, createId(random)]) {
      const token = createToken(prefix, id, random)
      const work = await workOf(setup, async () => {
        expect(await outcomeOf(setup[service].verify(token))).toBe('invalid_credential')
      })
      expect([service, work]).toEqual([service, [[`${service}.get`], 0]])
    }
  }
})
