import { type StoreErrorCode, StoreUnavailable } from '../../core/ports/stores.ts'
import { peer } from '../peer.ts'

/** A connection to Redis as the stores use it: one script at a time, answered in time or not at all. */
export interface RedisConnection {
  /** Runs a script, which is atomic. Rejects with `StoreUnavailable` and nothing else. */
  run(script: string, args: readonly string[]): Promise<unknown>
  close(): Promise<void>
}

/** Milliseconds between attempts to connect again, at most. */
const longestDelay = 2000

/** Connects, and from then on comes back by itself. Throws `StoreUnavailable` when the server cannot be reached. */
export async function connectRedis(
  who: string,
  options: { readonly url: string; readonly prefix: string; readonly timeout: number },
): Promise<RedisConnection> {
  const { url, prefix, timeout } = options
  const { createClient } = await peer(who, 'redis', 'redis', () => import('redis'))
  let connected = false
  let openedAt = 0
  const open = () => {
    openedAt = performance.now()
    const opened = createClient({
      url,
      name: 'upgate',
      // What cannot be sent now is refused now: a caller who waits for an answer should have one.
      disableOfflineQueue: true,
      socket: {
        connectTimeout: timeout,
        // The first attempt says whether the address is right; later ones go on until the server is back.
        reconnectStrategy: (retries) => (connected ? Math.min(50 * 2 ** retries, longestDelay) : false),
      },
    })
    opened.on('error', () => {})
    return opened
  }
  let client = open()
  const running = new Set<Promise<unknown>>()
  let closed = false
  try {
    await client.connect()
    connected = true
  } catch (error) {
    throw toStoreUnavailable(error)
  }

  function destroy(): void {
    try {
      client.destroy()
    } catch {
      // It had ended already.
    }
  }

  /** A connection that owes an answer may be dead without saying so, and would be for hours. */
  function replace(late: typeof client): void {
    if (closed || late !== client) return
    destroy()
    client = open()
    client.connect().catch(() => {})
  }

  return {
    run(script, args) {
      if (closed) return Promise.reject(new StoreUnavailable('store_closed', 'The store was closed.'))
      const asked = client
      const asking = asked.eval(script, { keys: [prefix], arguments: [...args] })
      const answer = inTime(asking, timeout, () => replace(asked))
        .catch((error: unknown) => {
          // Connecting again may hang as well, half way.
          if (!asked.isReady && performance.now() - openedAt > longestDelay + timeout) replace(asked)
          throw toStoreUnavailable(error)
        })
        .finally(() => running.delete(answer))
      running.add(answer)
      return answer
    },
    async close() {
      if (closed) return
      closed = true
      await Promise.allSettled(running)
      destroy()
    },
  }
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

async function inTime<T>(promise: Promise<T>, timeout: number, onLate: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new StoreUnavailable('store_unavailable', 'Redis did not answer in time.'))
      onLate()
    }, timeout)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
