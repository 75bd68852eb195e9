import { describe, expect, test } from 'vitest'
import { isInnerAddress, publicLookup } from '../src/oauth/lookup.ts'

/* Documents of a server must not lead the doctor into its user's network. The list of addresses is the client's:
   packages/client/test/address.test.ts has all ranges. */

describe('URLs that lead into a network', () => {
  test.each([
    'https://127.0.0.1/',
    'https://0x7f.1/',
    'https://2130706433/',
    'https://0177.0.0.1/',
    'https://127.0.0.1./',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[64:ff9b:1::a00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[fec0::1]/',
    'https://224.0.0.1/',
    'https://240.0.0.1/',
    'https://198.18.0.1/',
    'https://192.0.0.8/',
    'https://0.0.0.0/',
  ])('%s', (text) => {
    expect(isInnerAddress(new URL(text))).toBe(true)
  })

  test.each(['https://8.8.8.8/', 'https://[2606:4700::1111]/', 'https://gateway.example.com/'])(
    'not %s',
    (text) => {
      expect(isInnerAddress(new URL(text))).toBe(false)
    },
  )

  test('a name that resolves to one is not connected to', async () => {
    const error = await new Promise((resolve) =>
      publicLookup('localhost', { all: true }, (refused) => resolve(refused)),
    )
    expect(error).toMatchObject({ code: 'address_not_allowed' })
  })
})
