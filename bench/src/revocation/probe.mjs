import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerQuestions } from '../answer.mjs'

const agent = new Agent({ keepAlive: true, maxSockets: 1 })
/** @type {number[]} */
let milliseconds = []
let asking = false
/** @type {Promise<void>} */
let asked = Promise.resolve()

/** @param {number} port */
function once(port) {
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', path: '/health', agent }, (response) => {
      response.resume().once('end', resolve)
    }).once('error', reject)
  })
}

/** @param {number} port */
async function ask(port) {
  while (asking) {
    const before = performance.now()
    await once(port)
    milliseconds.push(performance.now() - before)
    await sleep(1)
  }
}

// Measures how long other clients' requests take during the revocation.
answerQuestions(async ({ what, port }) => {
  if (what === 'begin') {
    milliseconds = []
    asking = true
    await once(port)
    asked = ask(port)
    return {}
  }
  asking = false
  await asked
  return { slowest: Math.max(...milliseconds) }
})
