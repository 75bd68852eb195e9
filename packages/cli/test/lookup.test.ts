import { describe, expect, test } from 'vitest'
import { isInner, outerLookup } from '../src/oauth/lookup.ts'

/* Documents of a server must not lead the doctor into its user's network. */

describe('addresses inside a network', () => {
  test.each([
    '127.0.0.1',
    '10.1.2.3',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '::1',
    'fe80::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
  ])('%s is inner', (address) => {
    expect(isInner(address)).toBe(true)
  })

  test.each(['192.0.2.1', '203.0.113.10', '172.32.0.1', '2001:db8::1'])('%s is not', (address) => {
    expect(isInner(address)).toBe(false)
  })

  test('a name that resolves to one is not connected to', async () => {
    const error = await new Promise((resolve) =>
      outerLookup('localhost', { all: true }, (refused) => resolve(refused)),
    )
    expect(error).toMatchObject({ code: 'EINNER', message: 'The name leads into an inner network.' })
  })
})
