import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/*
 * Below the ports that systems give to outgoing connections and to servers that ask for any (Linux from 32768, others from
 * 49152): of the many tests and programs that run at the same time, none gets one of these by chance. Each worker of the
 * test runner has ports of its own, and gives each of them once before it begins again.
 */
const first = 10_000
const each = 2_000
const workers = 11
const own = first + (Number(process.env.VITEST_POOL_ID ?? 0) % workers) * each
let next = randomInt(each)

/** A port of 127.0.0.1 on which nothing listens, for another program, for a server that restarts, or for nothing. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = own + (next++ % each)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
