import { connect } from 'node:net'
import { answerQuestions } from '../answer.mjs'
import { stayAwake } from '../awake.mjs'
import { commonHeaders, host } from '../headers.mjs'

/**
 * One connection that asks the same thing again and again.
 *
 * @typedef {{ socket: import('node:net').Socket, expected: number, pending: number, first: string }} Lane
 */

/** @type {Lane[]} */
let lanes = []
let request = Buffer.alloc(0)
let answered = 0
let goal = 0
let running = false
/** @type {(() => void) | undefined} */
let onDone
let idle = 0
/** @type {Error | undefined} */
let failure

/** @param {Lane} lane */
function next(lane) {
  if (!running || failure !== undefined) {
    if (++idle === lanes.length || failure !== undefined) onDone?.()
    return
  }
  lane.pending = lane.expected
  lane.socket.write(request)
}

/**
 * Bytes of a whole answer; `undefined` while its end is not known; `NaN` for one that does not let anybody in.
 *
 * @param {string} text What arrived of it
 */
function lengthOf(text) {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  if (!text.startsWith('HTTP/1.1 200 ')) return Number.NaN
  if (/^transfer-encoding: chunked\r$/im.test(text)) {
    const last = text.indexOf('\r\n0\r\n\r\n', end)
    return last === -1 ? undefined : last + 7
  }
  const length = /^content-length: (\d+)/im.exec(text)?.[1]
  return end + 4 + Number(length)
}

/**
 * @param {Lane} lane
 * @param {Buffer} chunk
 */
function receive(lane, chunk) {
  if (lane.expected === 0) {
    // The first answer says how long all are: same status, same headers, a date of constant length.
    lane.first += chunk.toString('latin1')
    const length = lengthOf(lane.first)
    if (Number.isNaN(length)) {
      failure = new Error(`unexpected answer: ${lane.first.slice(0, 300)}`)
      onDone?.()
      return
    }
    if (length === undefined) return
    lane.expected = length
    lane.pending = length - lane.first.length + chunk.length
  }
  lane.pending -= chunk.length
  if (lane.pending > 0) return
  if (lane.pending < 0) failure = new Error('an answer was longer than the first one')
  if (++answered >= goal) running = false
  next(lane)
}

/** @param {number} port */
function open(port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    /** @type {Lane} */
    const lane = { socket, expected: 0, pending: 0, first: '' }
    socket.once('error', reject)
    socket.on('data', (chunk) => receive(lane, chunk))
    socket.on('close', () => {
      failure ??= new Error('the server closed a connection')
    })
    socket.once('connect', () => resolve(lane))
  })
}

/** @param {number} requests */
async function load(requests) {
  answered = 0
  goal = requests
  idle = 0
  running = true
  const done = new Promise((resolve) => (onDone = () => resolve(undefined)))
  const sleep = stayAwake()
  const before = performance.now()
  for (const lane of lanes) next(lane)
  await done
  sleep()
  if (failure !== undefined) throw failure
  return { requests: answered, milliseconds: performance.now() - before }
}

// Keep-alive connections, each with one request under way.
answerQuestions(async ({ what, port, path, headers, connections, requests }) => {
  if (what === 'load') return load(requests)
  const lines = [['Host', host], ...commonHeaders, ...headers].map(([name, value]) => `${name}: ${value}\r\n`)
  request = Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1')
  lanes = await Promise.all(Array.from({ length: connections }, () => open(port)))
  return {}
})
