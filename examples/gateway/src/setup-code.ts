import { createHash, randomInt, timingSafeEqual } from 'node:crypto'

/** Without characters that look alike. */
const alphabet = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789'
/** Characters of the first code, and of those after it. */
const lengths = { first: 8, later: 12 }
/** Shortest time between the first two replacements, in milliseconds; it doubles each time, up to a lifetime. */
const firstPause = 60_000

/** The answer to a typed code. */
export type SetupAnswer = 'right' | 'wrong' | 'expired'

export interface SetupCodeOptions {
  /** Milliseconds since the epoch. */
  now(): number
  /** Shows a replacement code on the console. */
  show(code: string): void
  /** Lifetime of a code, in milliseconds. Default: 30 minutes. */
  readonly lifetime?: number
  /** Number of wrong codes that replaces the code. Default: 10. */
  readonly attempts?: number
}

/** The one-time code for creating the first account; only readers of the console know it. */
export interface SetupCode {
  /** The current code, for the console only. */
  readonly value: string
  /** Compares a typed code, ignoring case, spaces and dashes. Counts every wrong one. */
  check(typed: string): SetupAnswer
}

/**
 * Creates the setup code, and replaces it after ten wrong codes or after its lifetime.
 *
 * Wrong codes must not end the set-up, or any client could: at least one minute passes between the first two
 * replacements, then two, four and so on up to thirty, and until then the current code counts in spite of any number
 * of wrong ones. The first code has eight characters and takes ten guesses: 10 / 32^8, 1 in 10^11. Later codes have
 * twelve: at 10,000 guesses a second, a guess succeeds within the thirty minutes of a code with a chance of
 * 1 in 6 x 10^10, and within a year with 1 in 3 x 10^6.
 */
export function createSetupCode(options: SetupCodeOptions): SetupCode {
  const { now, show, lifetime = 30 * 60_000, attempts = 10 } = options
  let value = ''
  let expected = digest(value)
  let expiresAt = 0
  let wrong = 0
  let pause = Math.min(firstPause, lifetime)
  let replaceableAt = Number.NEGATIVE_INFINITY

  function begin(length: number): void {
    value = Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
    expected = digest(value)
    expiresAt = now() + lifetime
    wrong = 0
  }

  begin(lengths.first)
  return {
    get value() {
      return value
    },
    check(typed) {
      const at = now()
      const isExpired = at >= expiresAt
      const isEqual = timingSafeEqual(expected, digest(typed.replace(/[\s-]/g, '').toUpperCase()))
      if (!isExpired && isEqual) return 'right'
      wrong += 1
      if ((isExpired || wrong >= attempts) && at >= replaceableAt) {
        begin(lengths.later)
        replaceableAt = at + pause
        pause = Math.min(pause * 2, lifetime)
        show(value)
      }
      return isExpired ? 'expired' : 'wrong'
    },
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
