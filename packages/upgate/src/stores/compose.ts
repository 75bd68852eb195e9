import { checkMethods, wrongOption } from '../core/options/check-options.ts'
import { methods, optional } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { FailureStore } from '../core/ports/failures.ts'
import type { RevocationLog, SessionStore, Store } from '../core/ports/stores.ts'
import type { TicketStore } from '../core/ports/tickets.ts'

/** Sessions that are stored apart from the log of revocations. */
export interface SessionPart {
  /** Returns the session store that appends its revocations to this log. */
  over(log: RevocationLog): SessionStore
  /** Writes revocations to the log that an instance noted and could not write before it ended. */
  settle(log: RevocationLog): Promise<void>
  /** Ends the connection to the part. */
  close(): Promise<void>
}

/** Tickets that are stored apart from the other records. */
export interface TicketPart extends TicketStore {
  /** Ends the connection to the part. */
  close(): Promise<void>
}

/** Counts of failed attempts that several instances share. */
export interface FailurePart extends FailureStore {
  /** Ends the connection to the part. */
  close(): Promise<void>
}

/** Parts that replace those of a store. At least one is required. */
export interface StoreParts {
  /** What `redisSessions` resolves to. Default: the sessions of the base. */
  readonly sessions?: SessionPart | undefined
  /** What `redisTickets` resolves to. Default: the tickets of the base. */
  readonly tickets?: TicketPart | undefined
  /** What `redisFailures` resolves to. Default: the counts of the base, if it has any. */
  readonly failures?: FailurePart | undefined
}

const partOf = (maker: string): string => `what ${maker}() of upgate/redis resolves to, or a part like it`
const storeParts = optionTable<StoreParts>()({
  sessions: optional(methods<SessionPart>(['over'], partOf('redisSessions'))),
  tickets: optional(methods<TicketPart>(['take'], partOf('redisTickets'))),
  failures: optional(methods<FailurePart>(['begin'], partOf('redisFailures'))),
})

/**
 * Combines several stores into one: the records and the log of the first, with sessions, tickets or counts of
 * failed attempts from elsewhere.
 *
 * Closing the result closes all of them.
 *
 * @param base - the store that keeps the log and all other records
 * @param parts - at least one part
 * @throws TypeError for an unknown or missing part, or a value that is no part
 * @example
 * const url = 'redis://127.0.0.1:6379'
 * const store = composeStores(await postgresStore({ connectionString }), {
 *   tickets: await redisTickets({ url }),
 *   failures: await redisFailures({ url }),
 * })
 */
export function composeStores(base: Store, parts: StoreParts): Store {
  checkMethods('composeStores', 'base', base, ['close'], 'what postgresStore() or sqliteStore() resolves to')
  if (typeof base.revocations !== 'object') {
    const expected = 'a store with a log of revocations, such as the one that postgresStore() resolves to'
    throw wrongOption('composeStores', 'base', expected, base)
  }
  const made = storeParts.read('composeStores', parts)
  const { sessions, tickets, failures } = made
  const given = storeParts.names.filter((name) => made[name] !== undefined)
  if (given.length === 0) {
    throw new TypeError(`composeStores: give at least one of ${storeParts.names.join(', ')}`)
  }
  return {
    ...base,
    ...(sessions && {
      sessions: sessions.over(base.revocations),
      revocations: settled(base, sessions),
      // It would read the sessions of the base.
      sessionsWithAccounts: undefined,
    }),
    ...(tickets && { tickets }),
    ...(failures && { failures }),
    async close() {
      const results = await Promise.allSettled(given.map((name) => made[name]?.close()))
      results.push(...(await Promise.allSettled([base.close()])))
      const failed = results.find((result) => result.status === 'rejected')
      // All parts were closed as far as possible: report the first failure.
      if (failed !== undefined) throw failed.reason
    },
  }
}

function settled({ revocations: log }: Store, sessions: SessionPart): RevocationLog {
  return {
    ...log,
    async since(sequence, limit) {
      // All instances read the log all the time: a part that cannot answer must not stop them.
      await sessions.settle(log).catch(() => {})
      return log.since(sequence, limit)
    },
  }
}
