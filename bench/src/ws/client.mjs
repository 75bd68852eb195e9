import { connect } from 'node:net'
import { answerQuestions } from '../answer.mjs'
import { stayAwake } from '../awake.mjs'
import { host } from '../headers.mjs'
import { dialects } from './dialects.mjs'

/** One address has some 28,000 ports, and a closed connection keeps its port for a minute. */
const localAddresses = process.platform === 'linux' ? 64 : 1

let opened = 0
/** @type {import('node:net').Socket[]} */
const sockets = []
/** @type {number} */
let port
/** Sockets on their way to being open at a time. */
let concurrency = 1
/** @type {import('./dialects.mjs').Dialect} */
let dialect = { path: '/ws' }
/** Which address each client has. @type {(index: number) => string} */
let addressOf = (index) => addresses.each(index)
/** Credentials in turn; none for sockets that stay silent. @type {readonly string[] | undefined} */
let tokens

/**
 * A text frame with the mask 0, which is a valid one.
 *
 * @param {string} text
 */
function frameOf(text) {
  const payload = Buffer.from(text)
  const head =
    payload.length < 126
      ? [0x81, 0x80 | payload.length]
      : [0x81, 0xfe, payload.length >> 8, payload.length & 0xff]
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload])
}

/** Addresses of clients, by how they are spread. */
const addresses = {
  each: (/** @type {number} */ index) => `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
  one: () => '203.0.113.7',
  /** A network of 64 bits each, all in one of 48. */
  networks: (/** @type {number} */ index) => `2001:db8:1:${(index & 0xffff).toString(16)}::1`,
}

/**
 * The upgrade of one client, with its address as the proxy on this machine tells it.
 *
 * @param {number} index
 * @param {string | undefined} token
 */
function upgradeOf(index, token) {
  const lines = [
    `GET ${dialect.path} HTTP/1.1`,
    `Host: ${host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'User-Agent: node/20',
    `X-Forwarded-For: ${addressOf(index)}`,
    ...(dialect.headers ?? []).map(([name, value]) => `${name}: ${value}`),
    ...(token === undefined || !dialect.header ? [] : [dialect.header(token).join(': ')]),
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

/**
 * Opens one socket, proves its identity if there are credentials, and resolves when it has been accepted.
 *
 * @param {number} index
 */
function open(index) {
  const token = tokens?.[index % tokens.length]
  const { greeting, credential, accepted } = dialect
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      localAddress: `127.0.0.${1 + (index % localAddresses)}`,
      noDelay: true,
    })
    sockets.push(socket)
    socket.write(upgradeOf(index, token), 'latin1')
    let upgraded = false
    let proved = token === undefined || credential === undefined
    const prove = (/** @type {string} */ greeted) => {
      proved = true
      if (token !== undefined && credential) socket.write(frameOf(credential(token, greeted)))
    }
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed a socket')))
    socket.on('data', (chunk) => {
      let rest = chunk
      if (!upgraded) {
        const end = chunk.indexOf('\r\n\r\n')
        if (!chunk.toString('latin1', 0, 13).startsWith('HTTP/1.1 101 ') || end === -1) {
          reject(new Error(`unexpected answer: ${chunk.toString('latin1').slice(0, 300)}`))
          return
        }
        upgraded = true
        if (token === undefined || accepted === undefined) resolve(undefined)
        else if (!proved && greeting === undefined) prove('')
        rest = chunk.subarray(end + 4)
        if (rest.length === 0) return
      }
      // Unmasked frames; several may arrive together.
      const text = rest.toString('latin1')
      if (!proved && greeting !== undefined && text.includes(greeting)) prove(text)
      else if (token !== undefined && accepted !== undefined) {
        if (text.includes(accepted)) resolve(undefined)
        else reject(new Error(`unexpected frame: ${text.slice(0, 300)}`))
      }
      // What the server closes is closed from here, too.
      if (rest[0] === 0x88) socket.end(Buffer.from([0x88, 0x82, 0, 0, 0, 0, rest[2] ?? 0, rest[3] ?? 0]))
    })
  })
}

/** @param {{ count: number, first?: number }} question Which of the frames is the first one's; otherwise they go on */
async function openMany({ count, first = opened }) {
  opened = first
  const last = first + count
  const sleep = stayAwake()
  const before = performance.now()
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (opened < last) await open(opened++)
    }),
  )
  sleep()
  return { milliseconds: performance.now() - before }
}

/** Resets all open sockets: a connection closed in the usual way keeps its port for a minute. */
function reset() {
  for (const socket of sockets) {
    socket.removeAllListeners('close')
    socket.resetAndDestroy()
  }
  sockets.length = 0
  return {}
}

answerQuestions((question) => {
  if (question.what === 'open') return openMany(question)
  if (question.what === 'reset') return reset()
  ;({ port, concurrency, tokens } = question)
  dialect = dialects[question.dialect] ?? dialect
  addressOf = addresses[/** @type {keyof typeof addresses} */ (question.addresses ?? 'each')]
  return {}
})
