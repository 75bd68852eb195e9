import { describe, expect, it } from 'vitest'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { Addresses } from '../../src/ws/limits/addresses.ts'

function address(n: number): string {
  return `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
}

describe('the addresses sockets come from', () => {
  it('remembers a bounded number of addresses without sockets', () => {
    const addresses = new Addresses(manualClock())
    for (let n = 0; n < 100_000; n++) addresses.of(address(n))
    expect(addresses.size).toBeLessThanOrEqual(20_000)
  })

  it('keeps those in use, however many others come, and their networks', () => {
    const addresses = new Addresses(manualClock())
    const used = Array.from({ length: 15_000 }, (_, n) => addresses.of(address(n)))
    const network = addresses.of('2001:db8:1:2::1')
    for (const bucket of [...used, network]) addresses.add(bucket, 'sockets', 1)
    for (let n = 100_000; n < 200_000; n++) addresses.of(address(n))
    expect(used.every((bucket, n) => addresses.of(address(n)) === bucket)).toBe(true)
    const neighbour = addresses.of('2001:db8:1:3::1')
    expect(neighbour.wider).toBe(network.wider)
    expect(addresses.fits(neighbour, 'sockets', 0.5)).toBe(false)
    for (const bucket of [...used, network]) addresses.add(bucket, 'sockets', -1)
    for (let n = 100_000; n < 200_000; n++) addresses.of(address(n))
    expect(addresses.size).toBeLessThanOrEqual(40_000)
  })

  it('looks through those in use once in a while, not for every newcomer', () => {
    const addresses = new Addresses(manualClock())
    let looked = 0
    for (let n = 0; n < 20_000; n++) {
      const bucket = addresses.of(address(n))
      Object.defineProperty(bucket, 'sockets', { get: () => ++looked })
    }
    looked = 0
    for (let n = 100_000; n < 110_000; n++) addresses.of(address(n))
    expect(looked).toBeLessThanOrEqual(20_000)
  })

  it('counts refusals for a minute, and forgets them when the clock was set back', () => {
    const clock = manualClock()
    let setBack = 0
    const addresses = new Addresses({ ...clock, now: () => clock.now() - setBack })
    const bucket = addresses.of('203.0.113.7')
    addresses.refused(bucket, true)
    addresses.refused(bucket, false)
    clock.advance(20_000)
    addresses.refused(bucket, true)
    expect(addresses.wait(bucket, 'guesses', 2)).toBe(40_000)
    expect(addresses.wait(bucket, 'others', 2)).toBe(0)
    clock.advance(40_000)
    expect(addresses.wait(bucket, 'guesses', 2)).toBe(0)
    addresses.refused(bucket, true)
    setBack = 3_600_000
    expect(addresses.wait(bucket, 'guesses', 1)).toBe(0)
  })

  it('remembers a success for as long as it is told to', () => {
    const clock = manualClock()
    const addresses = new Addresses(clock)
    const bucket = addresses.of('203.0.113.7')
    expect(addresses.succeededWithin(bucket, 60_000)).toBe(false)
    addresses.succeeded(bucket)
    clock.advance(59_000)
    expect(addresses.succeededWithin(bucket, 60_000)).toBe(true)
    clock.advance(1_000)
    expect(addresses.succeededWithin(bucket, 60_000)).toBe(false)
    addresses.succeeded(addresses.unknown)
    expect(addresses.succeededWithin(addresses.unknown, 60_000)).toBe(false)
  })
})
