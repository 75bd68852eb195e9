import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { guardServer } from 'upgate/ws'
import { WebSocketServer } from 'ws'
import { answerQuestions } from '../answer.mjs'
import { createFixture } from '../fixture.mjs'

/** Sockets stay until a newcomer takes their place: no deadline closes them before. */
const deadline = 600_000
const maxSockets = Number(process.argv[2])

const { gate } = await createFixture()
const server = createServer()
const sockets = new WebSocketServer({ noServer: true })
// Without a listener, the gate would refuse.
sockets.on('connection', () => {})
const guarded = guardServer(server, gate, {
  sockets: { '/ws': sockets },
  deadline,
  pressureDeadline: deadline,
  maxSockets,
  // One address may have all places.
  maxSocketsPerAddress: maxSockets,
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))

answerQuestions(async (question) => {
  switch (question.what) {
    case 'where':
      return { port: /** @type {import('node:net').AddressInfo} */ (server.address()).port }
    case 'settle':
      // Displaced sockets have closed.
      for (let before = -1, now = 0; before !== now; ) {
        before = now
        await sleep(20)
        now = guarded.counts.quarantined
      }
      return { waiting: guarded.counts.quarantined }
    default:
      return process.cpuUsage()
  }
})
