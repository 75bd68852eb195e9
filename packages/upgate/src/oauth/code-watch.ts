import { clock as clockKind, count, fn, milliseconds, withDefault } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { Clock, Timer } from '../core/ports/clock.ts'
import { sha256 } from '../crypto/sha256.ts'
import { systemClock } from '../platform/system-clock.ts'

/** An authorization code that was not redeemed in time. */
export interface CodeNotRedeemed {
  /** Says that a code was issued and not redeemed in time. */
  readonly type: 'code_not_redeemed'
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Client that the code was issued to. */
  readonly clientId: string
  /** How often in a row for this client. */
  readonly count: number
  /** The next step for the operator. Absent the first time, because a user may have closed the window. */
  readonly advice: string | undefined
}

/** Options of {@link createCodeWatch}. Unknown options throw. */
export interface CodeWatchOptions {
  /** Called for each code that was not redeemed in time. */
  readonly onNotRedeemed: (event: CodeNotRedeemed) => void
  /**
   * Milliseconds a client has to redeem a code. Default: 60,000; codes live ten minutes at most (RFC 6749
   * section 4.1.2).
   */
  readonly within?: number
  /** Codes and clients remembered at most; the oldest are forgotten. Default: 10,000. */
  readonly maxEntries?: number
  /** Default: the clock of the machine. */
  readonly clock?: Clock
}

const codeWatchOptions = optionTable<CodeWatchOptions>()({
  onNotRedeemed: fn(),
  within: milliseconds(60_000, 1_000, 600_000),
  maxEntries: count(10_000, 1),
  clock: withDefault(clockKind(), systemClock),
})

/** Learns of codes issued and redeemed. Codes are kept as digests. */
export interface CodeWatch {
  /** Notes a code that a client was given. */
  issued(code: string, clientId: string): void
  /** Notes that a code was redeemed; an unknown code changes nothing. */
  redeemed(code: string): void
  /** Cancels the timer and forgets everything. */
  close(): void
}

const advice =
  'The browser steps arrive, the token request does not. Hosted clients redeem codes from a data centre, with the user ' +
  'agent of a library, which bot filters at the edge block: look for a challenge or block of POST requests to the token ' +
  "endpoint in the edge's security events. On Cloudflare, Bot Fight Mode cannot be skipped by a WAF rule: switch it off, " +
  "or allow the client's addresses by an IP Access rule. That a probe of your own passes proves nothing."

/**
 * Watches for authorization codes that are issued and never redeemed: the mark of an edge that swallows the token
 * exchange.
 *
 * @param options - `onNotRedeemed` is required
 * @returns the watch; `close()` cancels its timer
 * @throws TypeError for an unknown option or a bad limit
 * @example
 * const watch = createCodeWatch({ onNotRedeemed: (event) => log.warn(event) })
 * provider.on('authorization_code.saved', (code) => watch.issued(code.jti, code.clientId))
 * provider.on('authorization_code.consumed', (code) => watch.redeemed(code.jti))
 */
export function createCodeWatch(options: CodeWatchOptions): CodeWatch {
  const { onNotRedeemed, within, maxEntries, clock } = codeWatchOptions.read('createCodeWatch', options)
  // In order of issue, and so in order of their ends: one timer for the first of them serves all.
  const pending = new Map<string, { readonly clientId: string; readonly ends: number }>()
  const missed = new Map<string, number>()
  let timer: Timer | undefined

  function arm(): void {
    const first = pending.values().next()
    if (timer !== undefined || first.done === true) return
    timer = clock.setTimer(Math.max(0, first.value.ends - clock.now()), () => {
      timer = undefined
      expire()
      arm()
    })
  }

  function expire(): void {
    const now = clock.now()
    for (const [digest, { clientId, ends }] of pending) {
      if (ends > now) return
      pending.delete(digest)
      const count = (missed.get(clientId) ?? 0) + 1
      missed.delete(clientId)
      missed.set(clientId, count)
      forgetOldest(missed)
      onNotRedeemed({
        type: 'code_not_redeemed',
        at: now,
        clientId,
        count,
        advice: count >= 2 ? advice : undefined,
      })
    }
  }

  function forgetOldest(map: Map<string, unknown>): void {
    if (map.size <= maxEntries) return
    const oldest = map.keys().next()
    if (oldest.done !== true) map.delete(oldest.value)
  }

  return {
    issued(code, clientId) {
      pending.set(sha256(code), { clientId: clientId.slice(0, 256), ends: clock.now() + within })
      forgetOldest(pending)
      arm()
    },
    redeemed(code) {
      const digest = sha256(code)
      const entry = pending.get(digest)
      if (entry === undefined) return
      pending.delete(digest)
      missed.delete(entry.clientId)
    },
    close() {
      timer?.cancel()
      timer = undefined
      pending.clear()
      missed.clear()
    },
  }
}
