import { createHash } from 'node:crypto'
import { inTime } from '../../core/async/in-time.ts'
import { pauseAfter } from '../../core/async/pauses.ts'
import { clock as clockKind, fn, milliseconds, text, withDefault } from '../../core/options/option-kinds.ts'
import { type OptionTable, optionTable } from '../../core/options/option-table.ts'
import type { Clock, Timer } from '../../core/ports/clock.ts'
import { type StoreErrorCode, StoreUnavailable } from '../../core/ports/stores.ts'
import { peer } from '../../platform/optional-peer.ts'
import { systemClock } from '../../platform/system-clock.ts'

/** Address of a Redis server, and bounds on waiting for it. */
export interface RedisPartOptions {
  /** `redis://user:password@host:6379`, or `rediss://` for TLS. */
  readonly url: string
  /** Prefix of all keys; use a different one for each deployment on the same server. Default: `upgate`. */
  readonly prefix?: string
  /** Milliseconds within which Redis has to answer. 10 to 60,000. Default: 2,000. */
  readonly timeout?: number
  /** Clock behind the time-outs. Default: the clock of the machine. */
  readonly clock?: Clock
  /** Spreads the attempts of instances to connect again; at least 0, less than 1. Default: `Math.random`. */
  readonly random?: () => number
}

/** The options of every part in Redis. */
export const redisPartOptions: OptionTable<
  RedisPartOptions,
  Required<RedisPartOptions>
> = optionTable<RedisPartOptions>()({
  url: text('an address that begins with redis:// or rediss://', /^rediss?:\/\//),
  prefix: withDefault(
    text('1 to 64 letters, digits, dots, colons, dashes or underscores', /^[A-Za-z0-9_.:-]{1,64}$/),
    'upgate',
  ),
  timeout: milliseconds(2_000, 10, 60_000),
  clock: withDefault(clockKind(), systemClock),
  random: withDefault(fn<() => number>(), Math.random),
})

/**
 * A connection to Redis as the stores use it: every command is answered in time, or rejected with `StoreUnavailable`
 * and nothing else.
 */
export interface RedisConnection {
  /** Runs a script atomically. */
  run(script: string, args: readonly string[]): Promise<unknown>
  /**
   * Reads fields of a hash: `null` for each one that is missing.
   *
   * @param key - below the prefix
   * @param fields - names
   */
  fields(key: string, fields: readonly string[]): Promise<readonly (string | null)[]>
  close(): Promise<void>
}

/** Milliseconds between attempts to reconnect. */
const pauses = { shortest: 50, first: 500, longest: 2000 }

/**
 * Connects to Redis, and reconnects by itself after that.
 *
 * @param who - name of the caller, at the beginning of error messages
 * @param patient - whether to keep trying if the first attempt fails
 * @throws TypeError for a bad option or a missing package
 * @throws StoreUnavailable when the server cannot be reached
 */
export async function connectRedis(
  who: string,
  options: RedisPartOptions,
  patient = false,
): Promise<RedisConnection> {
  const { url, prefix, timeout, clock, random } = redisPartOptions.read(who, options)
  const { createClient } = await peer(who, 'redis', 'redis', () => import('redis'))
  let connected = patient
  /** Whether the connection attempt has taken so long that it counts as hanging. */
  let overdue = false
  let waiting: Timer | undefined
  const open = () => {
    waiting?.cancel()
    overdue = false
    waiting = clock.setTimer(pauses.longest + timeout, () => {
      overdue = true
    })
    const opened = createClient({
      url,
      name: 'upgate',
      // Refuse a command that cannot be sent now: its caller is waiting for an answer.
      disableOfflineQueue: true,
      socket: {
        connectTimeout: timeout,
        // The first attempt shows whether the address is right; later ones go on until the server is back.
        reconnectStrategy: (retries) => (connected ? pauseAfter(retries, { ...pauses, random }) : false),
      },
    })
    opened.on('error', () => {})
    return opened
  }
  type Client = ReturnType<typeof open>
  let client: Client = open()
  // The braces keep all keys on one node of a cluster: scripts use several keys.
  const space = `{${prefix}}:`
  const running = new Set<Promise<unknown>>()
  /** Scripts by their text, as the server names them: it would have to read a whole script each time. */
  const digests = new Map<string, string>()
  let closed = false
  try {
    const connecting = client.connect()
    await (patient ? inTime(connecting, timeout, clock, fail) : connecting)
    connected = true
  } catch (error) {
    if (!patient) {
      waiting?.cancel()
      throw toStoreUnavailable(error)
    }
  }

  function destroy(): void {
    try {
      client.destroy()
    } catch {
      // The connection had ended already.
    }
  }

  /** Replaces a connection that owes a late answer. It may be dead without any event, for hours. */
  function replace(late: Client): void {
    if (closed || late !== client) return
    destroy()
    client = open()
    client.connect().catch(() => {})
  }

  function ask<T>(send: (client: Client) => Promise<T>): Promise<T> {
    if (closed) return Promise.reject(new StoreUnavailable('store_closed', 'The store was closed.'))
    const asked = client
    const done = (): void => void running.delete(answer)
    const answer = inTime(send(asked), timeout, clock, () => {
      replace(asked)
      return fail()
    }).catch((error: unknown) => {
      if (!asked.isReady && overdue) replace(asked)
      throw toStoreUnavailable(error)
    })
    running.add(answer)
    answer.then(done, done)
    return answer
  }

  function digestOf(script: string): string {
    const known = digests.get(script)
    if (known !== undefined) return known
    const digest = createHash('sha1').update(script).digest('hex')
    digests.set(script, digest)
    return digest
  }

  return {
    run(script, args) {
      const rest = ['1', space, ...args]
      return ask(async (client) => {
        try {
          return await client.sendCommand<unknown>(['EVALSHA', digestOf(script), ...rest])
        } catch (error) {
          // The server was restarted, or its scripts were flushed. Nothing was run.
          if (!String((error as Error).message).startsWith('NOSCRIPT')) throw error
          return client.sendCommand<unknown>(['EVAL', script, ...rest])
        }
      })
    },
    fields: (key, fields) => ask((client) => client.sendCommand(['HMGET', space + key, ...fields])),
    async close() {
      if (closed) return
      closed = true
      waiting?.cancel()
      await Promise.allSettled(running)
      destroy()
    },
  }
}

/** Names and values of a reply that is a flat list. */
export function pairs(reply: unknown): [string, string][] {
  const flat = Array.isArray(reply) ? reply.map(String) : []
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as string, flat[2 * i + 1] as string])
}

const codes: readonly (readonly [RegExp, StoreErrorCode, string])[] = [
  [/^(OOM|MISCONF)/, 'store_full', 'Redis takes no writes: its memory or its disk is full.'],
  [/^(LOADING|BUSY|TRYAGAIN|CLUSTERDOWN)/, 'store_busy', 'Redis is busy with something else.'],
]

function toStoreUnavailable(error: unknown): StoreUnavailable {
  if (error instanceof StoreUnavailable) return error
  const message = error instanceof Error ? error.message : ''
  const [, code, text] = codes.find(([pattern]) => pattern.test(message)) ?? [
    undefined,
    'store_unavailable' as const,
    'Redis cannot answer.',
  ]
  return new StoreUnavailable(code, text, { cause: error })
}

function fail(): never {
  throw new StoreUnavailable('store_unavailable', 'Redis did not answer in time.')
}
