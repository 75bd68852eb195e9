import { createHash, randomInt, timingSafeEqual } from 'node:crypto'

/** Without the characters people mistake for each other. */
const alphabet = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789'

/** The answer to a code somebody typed. */
export type SetupAnswer = 'right' | 'wrong' | 'expired' | 'exhausted'

export interface SetupCodeOptions {
  /** Milliseconds since the epoch. */
  now(): number
  /** How long the code counts, in milliseconds. Default: 30 minutes. */
  readonly lifetime?: number
  /** How many wrong codes it survives. Default: 10. */
  readonly attempts?: number
}

/** The one-time code that lets whoever can read the console create the first account. */
export interface SetupCode {
  /** Eight characters, for the console only. */
  readonly value: string
  /** Compares what was typed; case, spaces and dashes do not matter. Counts every wrong one. */
  check(typed: string): SetupAnswer
}

/** Makes a new setup code. There are 32^8 of them, so ten guesses are no danger; time and attempts are bounded anyway. */
export function createSetupCode(options: SetupCodeOptions): SetupCode {
  const { now, lifetime = 30 * 60_000, attempts = 10 } = options
  const value = Array.from({ length: 8 }, () => alphabet[randomInt(alphabet.length)]).join('')
  const expected = digest(value)
  const expiresAt = now() + lifetime
  let wrong = 0
  return {
    value,
    check(typed) {
      if (now() >= expiresAt) return 'expired'
      if (wrong >= attempts) return 'exhausted'
      if (timingSafeEqual(expected, digest(typed.replace(/[\s-]/g, '').toUpperCase()))) return 'right'
      wrong += 1
      return 'wrong'
    },
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
