import { describe, expect, it } from 'vitest'
import { createDuplicateFinder } from '../../src/core/request/duplicate-headers.ts'

describe('headers that may occur once', () => {
  const find = createDuplicateFinder(['host', 'origin', 'authorization', '_token', 'x-api-key', 'host'])

  it.each([
    ['Host', 'host'],
    ['HOST', 'hOsT'],
    ['Authorization', 'authorization'],
    ['_Token', '_TOKEN'],
    ['X-Api-Key', 'x-api-key'],
  ])('%s and %s are one name, wherever they stand', (one, other) => {
    expect(find([one, 'a', 'Accept', '*/*', other, 'b'])).toBe(one.toLowerCase())
    expect(find([other, 'a', one, 'a'])).toBe(one.toLowerCase())
  })

  it.each([
    [['Host', 'a', 'Origin', 'b', 'Accept', 'c', 'Accept', 'd', 'Authorization', 'e', 'X-Api-Key', 'f']],
    [['Host', 'host', 'X-Other', 'host']],
    [['Most', 'a', 'most', 'b', 'Host', 'c']],
    [['', 'a', '', 'b']],
    [[]],
  ])('nothing is found in %j', (rawHeaders) => {
    expect(find(rawHeaders)).toBeUndefined()
  })

  it('throws where there are too many names to tell apart', () => {
    const names = Array.from({ length: 32 }, (_, i) => `x-${i}`)
    expect(() => createDuplicateFinder(names)).toThrow(/more than 31 headers/)
    const last = createDuplicateFinder(names.slice(0, 31))
    expect(last(['X-30', 'a', 'x-30', 'b', 'X-0', 'c'])).toBe('x-30')
    expect(last(['X-30', 'a', 'X-0', 'c', 'X-29', 'c'])).toBeUndefined()
  })
})
