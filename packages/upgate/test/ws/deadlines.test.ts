import { expect, it } from 'vitest'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { Deadlines } from '../../src/ws/limits/deadlines.ts'

/** A clock with a settable time of day, like a machine's; setting it does not affect the timers. */
function settableClock() {
  const clock = manualClock()
  let offset = 0
  return {
    clock: { now: () => clock.now() + offset, setTimer: clock.setTimer },
    advance: clock.advance,
    set(difference: number): void {
      offset += difference
    },
  }
}

it.each([
  ['an hour', 3_600_000],
  ['a year', 365 * 86_400_000],
])('a clock that is set back by %s stretches no deadline', (_, by) => {
  const { clock, advance, set } = settableClock()
  const due: string[] = []
  const deadlines = new Deadlines<{ since: number; name: string }>(
    clock,
    () => 10_000,
    (items) => due.push(...items.map(({ name }) => name)),
  )
  deadlines.add({ since: 0, name: 'before' })
  advance(4_000)
  deadlines.add({ since: 0, name: 'between' })
  set(-by)
  advance(1_000)
  deadlines.add({ since: 0, name: 'after' })
  advance(5_000)
  expect(due).toEqual(['before'])
  advance(10_000)
  expect(due).toEqual(['before', 'between', 'after'])
  expect(deadlines.size).toBe(0)
})
