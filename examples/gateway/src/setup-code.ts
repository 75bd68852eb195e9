import { createHash, randomInt, timingSafeEqual } from 'node:crypto'

/** Without the characters people mistake for each other. */
const alphabet = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789'
/** Characters of the first code, and of those after it. */
const lengths = { first: 8, later: 12 }
/** Milliseconds for which the first replacement is the only one; each time twice as long, at most a lifetime. */
const firstPause = 60_000

/** The answer to a code somebody typed. */
export type SetupAnswer = 'right' | 'wrong' | 'expired'

export interface SetupCodeOptions {
  /** Milliseconds since the epoch. */
  now(): number
  /** Shows a code that takes the place of the one before, on the console. */
  show(code: string): void
  /** How long a code counts, in milliseconds. Default: 30 minutes. */
  readonly lifetime?: number
  /** Wrong codes after which a new one takes its place. Default: 10. */
  readonly attempts?: number
}

/** The one-time code that lets whoever can read the console create the first account. */
export interface SetupCode {
  /** The one that counts, for the console only. */
  readonly value: string
  /** Compares what was typed; case, spaces and dashes do not matter. Counts every wrong one. */
  check(typed: string): SetupAnswer
}

/**
 * Makes the setup code, and a new one after ten wrong codes or at its end.
 *
 * Wrong codes must not end the set-up, or any stranger could: at most one new code is shown a minute, then every two, four,
 * up to thirty, and until then the one before counts, however many wrong ones come. The first has eight characters and
 * takes ten guesses: 10 / 32^8, one in 10^11. Those after it have twelve: at 10,000 guesses a second for its thirty
 * minutes, one in 6 x 10^10 is right; for a whole year, one in 3 x 10^6.
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
