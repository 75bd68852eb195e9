import { answerQuestions } from '../answer.mjs'
import { createFixture } from '../fixture.mjs'
import { settledMemory } from './memory.mjs'
import { createSocketServer } from './servers.mjs'

// Sockets are of several nodes in turn, so that they are no single principal.
const [guard, devices] = process.argv.slice(2)
const fixture = await createFixture({ devices: Number(devices) })
const { server, counts } = createSocketServer(/** @type {import('./servers.mjs').Guard} */ (guard), fixture)
await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))

answerQuestions(async ({ what }) => {
  switch (what) {
    case 'where': {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
      return { port, tokens: fixture.tokens.devices }
    }
    case 'memory':
      return { ...(await settledMemory()), ...counts() }
    default:
      return process.cpuUsage()
  }
})
