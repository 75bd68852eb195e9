import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import type { Clock } from '../../core/ports/clock.ts'
import { StoreUnavailable } from '../../core/ports/stores.ts'
import type { PgClient, PgPool } from './pg-pool.ts'

/**
 * A pool whose connections are given back, answer or not, after so many milliseconds.
 *
 * The time-outs of the server do not help where its answers do not arrive: a cable that was pulled out, a host that
 * froze. A connection whose answer did not come in time is thrown away, because that answer may still come.
 */
export function boundedPool(pool: PgPool, timeout: number, clock: Clock): PostgresPool {
  return {
    async connect() {
      const deadline = createDeadline(timeout, clock)
      const connecting = pool.connect()
      let client: PgClient
      try {
        client = await deadline.inTime(connecting)
      } catch (error) {
        deadline.cancel()
        // Nobody waits for it any more.
        connecting.then(
          (late) => late.release(),
          () => {},
        )
        throw error
      }
      return boundedClient(client, deadline)
    },
    // The pool is ended by whoever made it.
    end: async () => {},
  }
}

function boundedClient(client: PgClient, deadline: Deadline): PostgresPoolClient {
  let broken: Error | undefined
  const fail = (error: Error): void => {
    broken ??= error
  }
  // Breaking between two statements is an event, and without a listener the end of the process.
  client.on('error', fail)

  async function query<R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> {
    if (broken !== undefined) throw broken
    const answer = client.query(sql, parameters.map(storable))
    try {
      return (await deadline.inTime(answer)) as PostgresQueryResult<R>
    } catch (error) {
      if (error instanceof StoreUnavailable) {
        fail(error)
        answer.catch(() => {})
      }
      throw error
    }
  }

  return {
    query: query as PostgresPoolClient['query'],
    release() {
      deadline.cancel()
      client.off('error', fail)
      client.release(broken)
    },
  }
}

/** PostgreSQL's text cannot hold NUL; what comes from outside may, and then is not found, instead of an error. */
function storable(value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\ufffd') : value
}

/** The moment after which nothing is waited for any more, by one timer for all that is asked until then. */
interface Deadline {
  inTime<T>(answer: Promise<T>): Promise<T>
  cancel(): void
}

function createDeadline(timeout: number, clock: Clock): Deadline {
  let end = (_: StoreUnavailable): void => {}
  const late = new Promise<never>((_, reject) => {
    end = reject
  })
  // It may come while nothing is asked.
  late.catch(() => {})
  const timer = clock.setTimer(timeout, () =>
    end(new StoreUnavailable('store_unavailable', 'The database did not answer in time.')),
  )
  return { inTime: (answer) => Promise.race([answer, late]), cancel: () => timer.cancel() }
}
