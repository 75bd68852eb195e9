import { seededRandom } from '../statistics.mjs'

export const owner = 'ada@example.com'
/** Logs in from browsers that were never seen before. */
export const guest = 'grace@example.com'
/** Holds an account, and floods with it. */
export const holder = 'eve@example.com'
export const people = [guest, holder]
export const password = 'correct horse battery staple'
/** Where the owner is. */
export const home = '198.51.100.7'

const random = seededRandom(1)
const addresses = Array.from({ length: 10_000 }, () => {
  const bits = Math.floor(random() * 2 ** 24)
  return `10.${bits >> 16}.${(bits >> 8) & 255}.${bits & 255}`
})

/** @typedef {{ email: string, password: string, address: string, cookie?: 'holder' }} Attempt */

const strange = (/** @type {number} */ n) => ({
  email: `user${n}@example.com`,
  password: 'wrong, and long enough',
})

/**
 * The attempts of the flood, by the name of the scenario.
 *
 * @type {Readonly<Record<string, ((n: number) => Attempt) | undefined>>}
 */
export const floods = {
  'no flood': undefined,
  'one address': (n) => ({ ...strange(n), address: '203.0.113.9' }),
  'the owner’s own address': (n) => ({ ...strange(n), address: home }),
  '10,000 addresses': (n) => ({ ...strange(n), address: addresses[n % addresses.length] ?? '' }),
  '10,000 addresses, the owner’s account': (n) => ({
    ...strange(n),
    email: owner,
    address: addresses[n % addresses.length] ?? '',
  }),
  'somebody with an account': () => ({ email: holder, password, address: '203.0.113.9', cookie: 'holder' }),
}
