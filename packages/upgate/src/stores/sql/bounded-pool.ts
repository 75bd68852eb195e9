import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import { StoreUnavailable } from '../../core/ports/stores.ts'
import type { PgClient, PgPool } from './pg-pool.ts'

/**
 * A pool whose connections are given back, answer or not, after so many milliseconds.
 *
 * The time-outs of the server do not help where its answers do not arrive: a cable that was pulled out, a host that
 * froze. A connection whose answer did not come in time is thrown away, because that answer may still come.
 */
export function boundedPool(pool: PgPool, timeout: number): PostgresPool {
  return {
    async connect() {
      const deadline = performance.now() + timeout
      const connecting = pool.connect()
      let client: PgClient
      try {
        client = await inTime(connecting, deadline)
      } catch (error) {
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

function boundedClient(client: PgClient, deadline: number): PostgresPoolClient {
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
      return (await inTime(answer, deadline)) as PostgresQueryResult<R>
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
      client.off('error', fail)
      client.release(broken)
    },
  }
}

/** PostgreSQL's text cannot hold NUL; what comes from outside may, and then is not found, instead of an error. */
function storable(value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\ufffd') : value
}

async function inTime<T>(promise: Promise<T>, deadline: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new StoreUnavailable('store_unavailable', 'The database did not answer in time.')),
      Math.max(0, deadline - performance.now()),
    )
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
