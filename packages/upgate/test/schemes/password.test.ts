import { expect, test } from 'vitest'
import { password } from '../../src/schemes/password.ts'
import { goodPassword, outcomeOf, person, setUp } from '../services/setup.ts'
import { context, inBand } from './requests.ts'

const credential = {
  type: 'password',
  source: 'frame',
  value: goodPassword,
  account: 'ada@example.com',
} as const

test('a password in band names its account, or belongs to the configured one', async () => {
  const setup = setUp()
  const { id } = await person(setup)
  const { account: _, ...anonymous } = credential
  const scheme = password({ accounts: setup.accounts })
  expect(scheme.extract).toBeUndefined()
  expect(scheme.claims?.(credential)).toBe(true)
  expect(scheme.claims?.(inBand(goodPassword))).toBe(false)
  expect(await scheme.verify(credential, context)).toMatchObject({ principal: { kind: 'user', id } })
  expect(await outcomeOf(scheme.verify(anonymous, context))).toBe('invalid_credential')
  const configured = password({ accounts: setup.accounts, account: 'ada@example.com' })
  expect(await configured.verify(anonymous, context)).toMatchObject({ principal: { id } })
  expect(await configured.verify({ ...credential, account: 'bob@example.com' }, context)).toMatchObject({
    outcome: 'rejected',
  })
})

test('a login page and sockets share one count of failures', async () => {
  const setup = setUp()
  await person(setup)
  const scheme = password({ accounts: setup.accounts })
  const wrong = { ...credential, value: 'not the right password' }
  for (let i = 0; i < 5; i++) {
    await scheme.verify(wrong, context)
    await scheme.login('ada@example.com', 'not the right password', { clientAddress: '192.0.2.1' })
  }
  expect(await scheme.verify(credential, context)).toMatchObject({ outcome: 'throttled', retryAfter: 60 })
  expect(await outcomeOf(scheme.login('ada@example.com', goodPassword, { clientAddress: '192.0.2.1' }))).toBe(
    'throttled',
  )
})

test('changing a password ends the sockets that it opened', async () => {
  const setup = setUp()
  const { id } = await person(setup)
  const scheme = password({ accounts: setup.accounts })
  const seen: unknown[] = []
  scheme.revocations?.subscribe(({ selector }) => seen.push(selector))
  await setup.accounts.setPassword(id, 'a completely new password')
  expect(seen).toContainEqual({ principalId: id, kind: 'user', scheme: 'password' })
})

test('misconfiguration throws and names the option', () => {
  expect(() => password({} as never)).toThrow(/`accounts`/)
  expect(() => password({ accounts: setUp().accounts, email: 'a' } as never)).toThrow(
    /unknown option `email`/,
  )
})
