import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerQuestions } from '../answer.mjs'
import { floods, guest, holder, home, owner, password } from './scenarios.mjs'

/** Milliseconds between an answer and the next login of the owner, of a browser never seen before, and another request. */
const pauses = { known: 1000, unseen: 1000, other: 20 }

let port = 0
const agent = new Agent({ keepAlive: true, maxSockets: 1000 })

/**
 * @param {string} method
 * @param {string} path
 * @param {{ body?: object, address: string, cookie?: string | undefined }} options
 * @returns {Promise<{ status: number, cookies: string, took: number }>} Status 0: it was not answered
 */
function ask(method, path, options) {
  const { body, address, cookie } = options
  const content = body === undefined ? '' : JSON.stringify(body)
  const began = performance.now()
  return new Promise((resolve) => {
    const headers = {
      'x-forwarded-for': address,
      ...(body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(content) }),
      ...(cookie && { cookie }),
    }
    const sent = request({ host: '127.0.0.1', port, agent, method, path, headers }, (response) => {
      response.resume().once('end', () => {
        const cookies = (response.headers['set-cookie'] ?? []).map((one) => one.split(';')[0]).join('; ')
        resolve({ status: response.statusCode ?? 0, cookies, took: performance.now() - began })
      })
    })
    sent.once('error', () => {
      // A server may close an idle connection at the moment in which it is used again: that was no answer.
      if (sent.reusedSocket) resolve(ask(method, path, options))
      else resolve({ status: 0, cookies: '', took: performance.now() - began })
    })
    sent.end(content)
  })
}

/** @param {import('./scenarios.mjs').Attempt & { cookies?: string | undefined }} attempt */
function logIn({ email, password, address, cookies }) {
  return ask('POST', '/api/auth/login', { body: { email, password }, address, cookie: cookies })
}

/**
 * Repeats something at a steady pace until the end, whether or not what went before was answered.
 *
 * @param {number} pause
 * @param {number} seconds
 * @param {(n: number) => Promise<unknown>} what
 */
async function repeat(pause, seconds, what) {
  const began = performance.now()
  const all = []
  for (let n = 0; n * pause < seconds * 1000; n++) {
    const wait = began + n * pause - performance.now()
    if (wait > 0) await sleep(wait)
    all.push(what(n))
  }
  await Promise.all(all)
}

/**
 * Repeats something until the end, each time some while after it was answered, as people do.
 *
 * @param {number} pause
 * @param {number} seconds
 * @param {(n: number) => Promise<unknown>} what
 */
async function oneByOne(pause, seconds, what) {
  const end = performance.now() + seconds * 1000
  for (let n = 0; performance.now() < end; n++) {
    await what(n)
    await sleep(pause)
  }
}

/**
 * @param {number} n
 * @param {number} tries A second after each refusal
 */
async function logInUnseen(n, tries) {
  const began = performance.now()
  // A network of its own: nothing is known of it.
  const address = `172.${16 + (n >> 8)}.${n & 255}.1`
  for (let attempt = 1; ; attempt++) {
    const { status } = await logIn({ email: guest, password, address })
    if (status === 204 || attempt === tries) {
      return { ok: status === 204, attempt, took: performance.now() - began }
    }
    await sleep(1000)
  }
}

answerQuestions(async ({ scenario, seconds, rate, tries, ...question }) => {
  port = question.port
  const first = async (/** @type {string} */ email, /** @type {string} */ address) => {
    const answer = await logIn({ email, password, address })
    if (answer.status !== 204) throw new Error(`the first login of ${email} was answered ${answer.status}`)
    return answer.cookies
  }
  let cookies = await first(owner, home)
  const held = await first(holder, '203.0.113.9')

  /** @type {{ known: any[], unseen: any[], others: number[], flooded: Record<string, number> }} */
  const found = { known: [], unseen: [], others: [], flooded: {} }
  const flood = floods[scenario]
  await Promise.all([
    flood &&
      repeat(1000 / rate, seconds, async (n) => {
        const { cookie, ...attempt } = flood(n)
        const { status } = await logIn({ ...attempt, cookies: cookie && held })
        found.flooded[status] = (found.flooded[status] ?? 0) + 1
      }),
    oneByOne(pauses.known, seconds, async () => {
      const answer = await logIn({ email: owner, password, address: home, cookies })
      if (answer.status === 204) cookies = answer.cookies
      found.known.push({ ok: answer.status === 204, took: answer.took })
    }),
    oneByOne(pauses.unseen, seconds, async (n) => found.unseen.push(await logInUnseen(n, tries))),
    oneByOne(pauses.other, seconds, async () => {
      found.others.push((await ask('GET', '/login', { address: '192.0.2.1' })).took)
    }),
  ])
  return found
})
