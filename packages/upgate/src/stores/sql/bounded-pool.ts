import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type { Clock } from '../../core/ports/clock.ts'
import { StoreUnavailable } from '../../core/ports/stores.ts'
import type { PgClient, PgPool, PgQuery } from './pg-pool.ts'

/**
 * Creates a pool that gives each connection up after `timeout` milliseconds, answered or not.
 *
 * The server's own time-outs do not help if its answers do not arrive: a cable was unplugged, a host froze. A
 * connection without a timely answer is thrown away, because the answer may still arrive.
 */
export function boundedPool(pool: PgPool, timeout: number, clock: Clock): BoundedPool {
  const bounded: BoundedPool = {
    async rows(query) {
      const client = await bounded.connect()
      try {
        return ((await client.run(query)) as { rows: unknown[] }).rows
      } finally {
        client.release()
      }
    },
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
  return bounded
}

/** A pool of which each connection has to answer in time. */
export interface BoundedPool extends PostgresPool {
  connect(): Promise<BoundedClient>
  /** Runs one statement by itself, on any connection. */
  rows(query: PgQuery): Promise<unknown[]>
}

interface BoundedClient extends PostgresPoolClient {
  run(query: PgQuery): Promise<unknown>
}

function boundedClient(client: PgClient, deadline: Deadline): BoundedClient {
  let broken: Error | undefined
  const fail = (error: Error): void => {
    broken ??= error
  }
  // A connection that breaks between two statements emits an event, which would end the process without a
  // listener.
  client.on('error', fail)

  async function run(query: PgQuery): Promise<unknown> {
    if (broken !== undefined) throw broken
    const answer = client.query(query)
    try {
      return await deadline.inTime(answer)
    } catch (error) {
      if (error instanceof StoreUnavailable) fail(error)
      throw error
    }
  }

  return {
    run,
    query: ((text: string, parameters: readonly unknown[]) =>
      run({ text, values: parameters.map(storable) })) as PostgresPoolClient['query'],
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
export function storable(value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\ufffd') : value
}

/** One timer for all queries on a connection: after it fires, no answer is waited for. */
interface Deadline {
  /** Waits for one answer at a time. */
  inTime<T>(answer: Promise<T>): Promise<T>
  cancel(): void
}

function createDeadline(timeout: number, clock: Clock): Deadline {
  let late: StoreUnavailable | undefined
  let giveUp = (_: StoreUnavailable): void => {}
  const timer = clock.setTimer(timeout, () => {
    late = new StoreUnavailable('store_unavailable', 'The database did not answer in time.')
    giveUp(late)
  })
  return {
    inTime: (answer) =>
      new Promise((resolve, reject) => {
        giveUp = reject
        if (late !== undefined) reject(late)
        answer.then(resolve, reject)
      }),
    cancel: () => timer.cancel(),
  }
}
