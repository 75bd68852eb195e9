import { assertKnownOptions } from '../core/options.ts'
import type { RevocationLog, SessionStore, Store } from '../core/ports/stores.ts'

/** Sessions that live elsewhere than the log of revocations. */
export interface SessionPart {
  /** The sessions, whose revocations go to this log. */
  over(log: RevocationLog): SessionStore
  /** Writes to the log what was revoked by somebody who ended before it was written there. */
  settle(log: RevocationLog): Promise<void>
  close(): Promise<void>
}

/**
 * Makes one store out of two: the records and the log of the first, with sessions kept elsewhere.
 *
 * Closing it closes both.
 *
 * @example
 * const store = composeStores(await postgresStore({ connectionString }), {
 *   sessions: await redisSessions({ url: process.env.REDIS_URL }),
 * })
 */
export function composeStores(base: Store, parts: { readonly sessions: SessionPart }): Store {
  assertKnownOptions('composeStores', parts, ['sessions'])
  const { sessions } = parts
  if (typeof sessions?.over !== 'function') {
    throw new TypeError(
      'composeStores: `sessions` must be redisSessions() of upgate/redis, or a part like it',
    )
  }
  const log = base.revocations
  return {
    ...base,
    sessions: sessions.over(log),
    revocations: {
      ...log,
      async since(sequence, limit) {
        // The log is what everybody reads all the time; that the part cannot answer must not keep them from it.
        await sessions.settle(log).catch(() => {})
        return log.since(sequence, limit)
      },
    },
    async close() {
      await sessions.close()
      await base.close()
    },
  }
}
