import type { Clock } from './clock.ts'
import { hex, type RandomBytes } from './secrets.ts'

/** Values that can be taken once, by an unguessable name, within their time. */
export interface OneTime<T> {
  put(value: T): string
  take(name: string | undefined): T | undefined
}

/** Beyond this many the oldest is dropped: anybody can make the edge start a login. */
const MAX_PENDING = 1_000

/** Creates a register that keeps each value for `lifeMs` milliseconds. */
export function createOneTime<T>(clock: Clock, random: RandomBytes, lifeMs: number): OneTime<T> {
  const values = new Map<string, { value: T; until: number }>()
  return {
    put(value) {
      const oldest = values.size >= MAX_PENDING ? values.keys().next().value : undefined
      if (oldest !== undefined) values.delete(oldest)
      const name = hex(random, 24)
      values.set(name, { value, until: clock.now() + lifeMs })
      return name
    },
    take(name) {
      const entry = name === undefined ? undefined : values.get(name)
      if (name !== undefined) values.delete(name)
      return entry !== undefined && entry.until > clock.now() ? entry.value : undefined
    },
  }
}
