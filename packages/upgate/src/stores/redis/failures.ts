import { count, methods, optional } from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { FailureCount } from '../../core/ports/failures.ts'
import { sha256 } from '../../crypto/sha256.ts'
import type { FailurePart } from '../compose.ts'
import { connectRedis, type RedisPartOptions, redisPartOptions } from './connection.ts'
import { beginScript, endScript } from './failure-scripts.ts'

/** Options of {@link redisFailures}. Unknown options throw. */
export interface RedisFailuresOptions extends Omit<RedisPartOptions, 'clock'> {
  /**
   * Largest number of counts, about 400 bytes each; as many successes are remembered. 100 to 100,000,000.
   * Default: 100,000.
   */
  readonly maxEntries?: number
  /**
   * Clock for tests. Default: the server's clock decides the times of attempts, so that instances with
   * different clocks count alike, and the machine's clock decides `timeout`. The latter also applies if
   * `setTimer` is missing.
   */
  readonly clock?: Pick<Clock, 'now'> & Partial<Clock>
}

const redisFailuresOptions = optionTable<RedisFailuresOptions>()({
  ...redisPartOptions.kinds,
  maxEntries: count(100_000, 100, 100_000_000),
  clock: optional(
    methods<NonNullable<RedisFailuresOptions['clock']>>(['now'], 'a clock, with the method `now`'),
  ),
})

/** Longest key, in characters, that is stored unchanged. */
const longestKey = 200

/**
 * Counts failed attempts (passwords, bootstrap codes) in Redis (6.2 or newer, or Valkey), for all instances
 * together.
 *
 * Each attempt takes one round trip before it is verified; its result is sent without waiting for the answer.
 * Keys hold digests of accounts and addresses, and expire by themselves. A server that cannot be reached is
 * no error, not even at first: each instance then counts for itself, and the services report it in the log.
 * Needs the package `redis`.
 *
 * @param options - `url` is required
 * @throws TypeError for a bad option or a missing package
 * @example
 * import { composeStores } from 'upgate'
 * import { redisFailures } from 'upgate/redis'
 * const store = composeStores(await postgresStore({ connectionString }), {
 *   failures: await redisFailures({ url: 'redis://127.0.0.1:6379' }),
 * })
 */
export async function redisFailures(options: RedisFailuresOptions): Promise<FailurePart> {
  const { maxEntries, clock, ...part } = redisFailuresOptions.read('redisFailures', options)
  const timers = clock?.setTimer === undefined ? {} : { clock: clock as Clock }
  const redis = await connectRedis('redisFailures', { ...part, ...timers }, true)
  const now = (): string => (clock === undefined ? '' : `${clock.now()}`)
  return {
    async begin(counts, dryRun = false) {
      const wanted = counts.flatMap((count) => [
        keyOf(count),
        `${count.limit}`,
        count.strangersOnly ? '1' : '',
      ])
      const reply = await redis.run(beginScript, [now(), dryRun ? '1' : '', `${maxEntries}`, ...wanted])
      const [wait, detail, ...reserved] = (reply as unknown[]).map(String)
      if (wait !== '0') {
        return { allowed: false, retryAfter: Math.ceil(Number(wait) / 1000), count: Number(detail) }
      }
      let ended = dryRun
      return {
        allowed: true,
        known: detail === '1',
        async end(result) {
          if (ended) return
          ended = true
          // A failure is counted already; only the attempt that reached a limit has to confirm its failure.
          if (result === 'failed' && !reserved.some((state, i) => i % 3 === 2 && state === '1')) return
          await redis.run(endScript, [now(), result, `${maxEntries}`, ...reserved])
        },
      }
    },
    close: redis.close,
  }
}

function keyOf({ key }: FailureCount): string {
  return key.length > longestKey ? sha256(key) : key
}
