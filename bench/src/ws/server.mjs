import { setImmediate as turn } from 'node:timers/promises'
import { answerQuestions } from '../answer.mjs'
import { createFixture } from '../fixture.mjs'
import { createSocketServer } from './servers.mjs'

/** Nodes whose sockets are opened in turn; more than one, so that they are no single principal. */
const devices = 100

const fixture = await createFixture({ devices })
const { server, counts } = createSocketServer(
  /** @type {import('./servers.mjs').Guard} */ (process.argv[2]),
  fixture,
)
await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))

answerQuestions(async ({ what }) => {
  switch (what) {
    case 'where': {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
      return { port, tokens: fixture.tokens.devices }
    }
    case 'memory': {
      // Twice: what a finaliser lets go of is only collected the next time.
      for (let i = 0; i < 2; i++) {
        globalThis.gc?.()
        await turn()
      }
      const { rss, heapUsed } = process.memoryUsage()
      return { rss, heap: heapUsed, ...counts() }
    }
    default:
      return process.cpuUsage()
  }
})
