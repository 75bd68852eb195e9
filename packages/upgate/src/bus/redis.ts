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

/** Options of {@link redisBus}. Unknown options throw. */
export interface RedisBusOptions {
  /** `redis://user:password@host:6379`, or `rediss://` for TLS. */
  readonly url: string
  /**
   * Name of the channel; use a different one for each deployment on the same server. Default:
   * `upgate:revocations`.
   */
  readonly channel?: string
  /** Clock behind the pauses between attempts to connect. Default: the clock of the machine. */
  readonly clock?: Clock
  /** Spreads the attempts of instances to connect; at least 0, less than 1. Default: `Math.random`. */
  readonly random?: () => number
  /** Default: Node's warnings, as `process.on('warning')` sees them. */
  readonly logger?: Logger
}

const redisBusOptions = optionTable<RedisBusOptions>()({
  url: text('an address that begins with redis:// or rediss://', /^rediss?:\/\//),
  channel: withDefault(text(), 'upgate:revocations'),
  clock: withDefault(clockKind(), systemClock),
  random: withDefault(fn<() => number>(), Math.random),
  logger: withDefault(loggerKind(), processWarnings),
})

/**
 * Opens a bus over Redis' PUBLISH and SUBSCRIBE, on two connections that it reopens whenever they end.
 *
 * A server that cannot be reached is no error: the bus tries again. Works with every compatible server
 * (Valkey, a node of a cluster). Needs the package `redis`.
 *
 * @param options - `url` is required
 * @returns the bus, for `createServices({ bus })`; close it when the process ends
 * @throws TypeError for a bad option or a missing package
 * @example
 * import { redisBus } from 'upgate/redis'
 * const bus = await redisBus({ url: 'redis://127.0.0.1:6379' })
 * const services = createServices({ store, bus })
 */
export async function redisBus(options: RedisBusOptions): Promise<RevocationBus> {
  const { url, channel, clock, random, logger } = redisBusOptions.read('redisBus', options)
  const { createClient } = await peer('redisBus', 'redis', 'redis', () => import('redis'))

  return reconnectingBus({
    name: 'The bus over Redis',
    clock,
    random,
    logger,
    async connect(hear, ended, abandoned) {
      const clients = [0, 1].map(() =>
        createClient({
          url,
          name: 'upgate-bus',
          disableOfflineQueue: true,
          // The bus reconnects both clients together.
          socket: { connectTimeout: 5000, reconnectStrategy: false },
        }),
      )
      const [publisher, subscriber] = clients as [(typeof clients)[0], (typeof clients)[0]]
      const destroy = (): void => {
        for (const client of clients) {
          try {
            client.destroy()
          } catch {
            // The connection had ended already.
          }
        }
      }
      for (const client of clients) {
        client.on('error', ended)
        client.on('end', () => ended('the connection ended'))
      }
      abandoned.addEventListener('abort', destroy)
      try {
        await Promise.all(clients.map((client) => client.connect()))
        await subscriber.subscribe(channel, hear)
      } catch (error) {
        destroy()
        throw error
      }
      return { send: (message) => publisher.publish(channel, message), destroy }
    },
  })
}
