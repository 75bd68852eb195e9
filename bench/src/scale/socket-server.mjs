import { setTimeout as sleep } from 'node:timers/promises'
import { answerQuestions } from '../answer.mjs'
import { freshRequest } from '../decide/requests.mjs'
import { createFixture } from '../fixture.mjs'
import { median } from '../statistics.mjs'
import { settledMemory } from '../ws/memory.mjs'
import { createSocketServer } from '../ws/servers.mjs'

/** Batches before the first one that is timed: everything is compiled by then. */
const warmBatches = 64

/** Every socket is of a device of its own. */
const fixture = await createFixture({ devices: Number(process.argv[2]) })
const { gate, services, tokens, deviceIds } = fixture
const { server, counts } = createSocketServer('gate', fixture)
await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))

/**
 * Microseconds a decision, in the median batch.
 *
 * @param {{ batch: number, batches: number }} question
 */
async function decide({ batch, batches }) {
  const make = () => freshRequest('/api/items', [['Authorization', `Bearer ${tokens.key}`]])
  await gate.decide(make())
  const times = []
  for (let i = -warmBatches; i < batches; i++) {
    const requests = Array.from({ length: batch }, make)
    const before = performance.now()
    for (const request of requests) gate.decide(request)
    if (i >= 0) times.push(((performance.now() - before) * 1000) / batch)
  }
  return { microseconds: median(times) }
}

/**
 * Revokes devices one by one; microseconds until it is written down and the socket's close frame is on its way.
 *
 * @param {{ first: number, count: number }} question
 */
async function revoke({ first, count }) {
  const before = gate.connections.size
  const times = []
  for (const id of deviceIds.slice(first, first + count)) {
    const begun = performance.now()
    await services.devices.revoke(id)
    times.push((performance.now() - begun) * 1000)
  }
  const closed = before - gate.connections.size
  if (closed !== count) throw new Error(`${count} devices were revoked, and ${closed} sockets closed`)
  return { microseconds: median(times) }
}

answerQuestions(async (question) => {
  switch (question.what) {
    case 'where': {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
      return { port, tokens: tokens.devices }
    }
    case 'until':
      while (counts().accepted !== question.accepted) await sleep(5)
      return {}
    case 'memory':
      return { ...(await settledMemory()), ...counts() }
    case 'decide':
      return decide(question)
    case 'revoke':
      return revoke(question)
    default:
      return process.cpuUsage()
  }
})
