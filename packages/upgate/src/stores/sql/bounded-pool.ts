import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import type { Clock } from '../../core/ports/clock.ts'
import { StoreUnavailable } from '../../core/ports/stores.ts'
import type { PgClient, PgPool } from './pg-pool.ts'

/**
 * Creates a pool that gives each connection up after `timeout` milliseconds, answered or not.
 *
 * The server's own time-outs do not help if its answers do not arrive: a cable was unplugged, a host froze. A
 * connection without a timely answer is thrown away, because the answer may still arrive.
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
        // The caller has stopped waiting: give a connection that arrives late back to the pool.
        connecting.then(
          (late) => late.release(),
          () => {},
        )
        throw error
      }
      return boundedClient(client, deadline)
    },
    // The creator of the pool ends it.
    end: async () => {},
  }
}

function boundedClient(client: PgClient, deadline: Deadline): PostgresPoolClient {
  let broken: Error | undefined
  const fail = (error: Error): void => {
    broken ??= error
  }
  // A connection that breaks between two statements emits an event, which would end the process without a
  // listener.
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

/**
 * PostgreSQL's text cannot hold NUL. Text from a client may, and must then match no record instead of causing
 * an error.
 */
function storable(value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\ufffd') : value
}

/** One timer for all queries on a connection: after it fires, no answer is waited for. */
interface Deadline {
  inTime<T>(answer: Promise<T>): Promise<T>
  cancel(): void
}

function createDeadline(timeout: number, clock: Clock): Deadline {
  let end = (_: StoreUnavailable): void => {}
  const late = new Promise<never>((_, reject) => {
    end = reject
  })
  // The deadline may pass while no query is waiting.
  late.catch(() => {})
  const timer = clock.setTimer(timeout, () =>
    end(new StoreUnavailable('store_unavailable', 'The database did not answer in time.')),
  )
  return { inTime: (answer) => Promise.race([answer, late]), cancel: () => timer.cancel() }
}
