import { createServices, memoryStore } from 'upgate'
import { answerQuestions } from '../answer.mjs'
import { freshRequest } from '../decide/requests.mjs'
import { gateOver } from '../fixture.mjs'
import { cookieName } from '../headers.mjs'
import { median, seededRandom } from '../statistics.mjs'

/** Batches before the first one that is timed: everything is compiled by then. */
const warmBatches = 16

/**
 * Sessions of one account: what a decision costs, and one session more or less.
 *
 * @param {{ sessions: number, known: number, seed: number, batch: number, batches: number }} question `known`: sessions of which the tokens are kept
 */
async function measure({ sessions, known, seed, batch, batches }) {
  const random = seededRandom(seed)
  const services = createServices({
    store: memoryStore(),
    limits: { touchDelay: 300_000, cacheEntries: 2, sessionsPerAccount: 10_000 },
  })
  const made = await services.accounts.create({ email: 'alice@example.com', scopes: ['items.read'] })
  if (made.outcome !== 'done') throw new Error(made.reason)
  const create = async () => {
    const session = await services.sessions.create(made.account.id)
    if (session === undefined) throw new Error('no session')
    return session
  }
  const stride = Math.max(1, Math.floor(sessions / known))
  /** @type {string[]} */
  const tokens = []
  for (let i = 0; i < sessions; i++) {
    const { token } = await create()
    if (i % stride === 0) tokens.push(token)
  }
  const gate = gateOver(services)
  const request = () =>
    freshRequest('/api/items', [['Cookie', `${cookieName}=${tokens[Math.floor(random() * tokens.length)]}`]])
  const first = await gate.decide(request())
  if (first.outcome !== 'allow') throw new Error(`unexpected ${JSON.stringify(first)}`)
  /** @type {Record<'decide' | 'create' | 'revoke', number[]>} */
  const times = { decide: [], create: [], revoke: [] }
  for (let i = -warmBatches; i < batches; i++) {
    const requests = Array.from({ length: batch }, request)
    const begun = performance.now()
    for (const each of requests) await gate.decide(each)
    const decided = performance.now()
    const created = []
    for (let n = 0; n < batch; n++) created.push((await create()).session.id)
    const added = performance.now()
    for (const id of created) await services.sessions.revoke(id)
    const ended = performance.now()
    if (i < 0) continue
    times.decide.push(((decided - begun) * 1000) / batch)
    times.create.push(((added - decided) * 1000) / batch)
    times.revoke.push(((ended - added) * 1000) / batch)
  }
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]))
}

answerQuestions(measure)
