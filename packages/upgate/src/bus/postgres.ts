import {
  clock as clockKind,
  fn,
  logger as loggerKind,
  text,
  withDefault,
} from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { RevocationBus } from '../core/ports/bus.ts'
import type { Clock } from '../core/ports/clock.ts'
import type { Logger } from '../core/ports/logger.ts'
import { peer } from '../platform/optional-peer.ts'
import { processWarnings } from '../platform/process-warnings.ts'
import { systemClock } from '../platform/system-clock.ts'
import { reconnectingBus } from './reconnecting.ts'

/** Options of {@link postgresBus}. Unknown options throw. */
export interface PostgresBusOptions {
  /**
   * `postgres://user:password@host:5432/database`. Must not lead through a pooler in transaction mode, which
   * forgets listeners.
   */
  readonly connectionString: string
  /**
   * Name of the channel; use a different one for each deployment in the same database. Default:
   * `upgate_revocations`.
   */
  readonly channel?: string
  /** Clock behind the pauses between attempts to connect. Default: the clock of the machine. */
  readonly clock?: Clock
  /** Spreads the attempts of instances to connect; at least 0, less than 1. Default: `Math.random`. */
  readonly random?: () => number
  /** Default: Node's warnings, as `process.on('warning')` sees them. */
  readonly logger?: Logger
}

const postgresBusOptions = optionTable<PostgresBusOptions>()({
  connectionString: text('an address that begins with postgres://', /^postgres(ql)?:\/\//),
  channel: withDefault(
    text('a name of at most 63 small letters, digits and underscores', /^[a-z_][a-z0-9_]{0,62}$/),
    'upgate_revocations',
  ),
  clock: withDefault(clockKind(), systemClock),
  random: withDefault(fn<() => number>(), Math.random),
  logger: withDefault(loggerKind(), processWarnings),
})

/**
 * Opens a bus over PostgreSQL's LISTEN and NOTIFY, on a separate connection that it reopens whenever it ends.
 *
 * A server that cannot be reached is no error: the bus tries again. Needs the package `pg`.
 *
 * @param options - `connectionString` is required
 * @returns the bus, for `createServices({ bus })`; close it when the process ends
 * @throws TypeError for a bad option or a missing package
 * @example
 * import { postgresBus, postgresStore } from 'upgate/sql'
 * const connectionString = 'postgres://gateway@127.0.0.1:5432/gateway'
 * const bus = await postgresBus({ connectionString })
 * const services = createServices({ store: await postgresStore({ connectionString }), bus })
 */
export async function postgresBus(options: PostgresBusOptions): Promise<RevocationBus> {
  const { connectionString, channel, clock, random, logger } = postgresBusOptions.read('postgresBus', options)
  const { default: pg } = await peer('postgresBus', 'pg', 'pg', () => import('pg'))

  return reconnectingBus({
    name: 'The bus over PostgreSQL',
    clock,
    random,
    logger,
    async connect(hear, ended, abandoned) {
      const client = new pg.Client({
        connectionString,
        connectionTimeoutMillis: 5000,
        keepAlive: true,
        application_name: 'upgate bus',
      })
      const destroy = (): void => {
        client.end().catch(() => {})
        // `end` waits for answers that may never come.
        stream(client)?.destroy()
      }
      client.on('error', ended)
      client.on('end', () => ended('the connection ended'))
      client.on('notification', (notification) => {
        if (notification.channel === channel) hear(notification.payload)
      })
      abandoned.addEventListener('abort', destroy)
      try {
        await client.connect()
        await client.query(`listen ${channel}`)
      } catch (error) {
        destroy()
        throw error
      }
      return {
        send: (message) => client.query('select pg_notify($1, $2)', [channel, message]),
        destroy,
      }
    },
  })
}

function stream(client: unknown): { destroy(): void } | undefined {
  return (client as { connection?: { stream?: { destroy(): void } } }).connection?.stream
}
