import { answerQuestions } from '../answer.mjs'
import { createFixture } from '../fixture.mjs'
import { createHttpServer } from './servers.mjs'

const [framework, guard, load] =
  /** @type {[import('./servers.mjs').Framework, import('./servers.mjs').Guard, 'public' | 'key']} */ (
    /** @type {unknown} */ (process.argv.slice(2))
  )
const fixture = await createFixture()
const server = await createHttpServer(framework, guard, fixture)
await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))

answerQuestions(({ what }) => {
  if (what === 'where') {
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    return { port, headers: load === 'key' ? [['Authorization', `Bearer ${fixture.tokens.key}`]] : [] }
  }
  return process.cpuUsage()
})
