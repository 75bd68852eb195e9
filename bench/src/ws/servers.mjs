import { createServer } from 'node:http'
import { guardServer } from 'upgate/ws'
import { WebSocketServer } from 'ws'
import { digest } from '../fixture.mjs'

/**
 * @typedef {'bare' | 'hand' | 'hand-header' | 'gate'} Guard Plain ws; ws with a timer, a state and one frame by hand, or a check of the header before the 101; Upgate
 * @typedef {Awaited<ReturnType<typeof import('../fixture.mjs').createFixture>>} Fixture
 * @typedef {import('ws').WebSocket} WebSocket
 * @typedef {{ server: import('node:http').Server, counts(): { waiting: number, accepted: number } }} Guarded
 */

/** Sockets stay for as long as a sample takes: no deadline closes them before its end. */
const deadline = 600_000

/** What the application does with a message: shared, as every socket would otherwise pay for a function of its own. */
function onApplicationMessage() {}

/** As long as the answer of the servers that check the frame. */
const bareAnswer = JSON.stringify({
  type: 'auth_ok',
  principal: { kind: 'device', id: 'x'.repeat(16) },
  scopes: ['node'],
  roles: ['node'],
})

/**
 * Plain ws: takes every socket, and answers the first frame without looking at it.
 *
 * @returns {Guarded}
 */
function createBare() {
  const server = createServer()
  const wss = new WebSocketServer({ server, path: '/ws' })
  let answered = 0
  /** @this {WebSocket} */
  function onMessage() {
    answered++
    this.off('message', onMessage)
    this.on('message', onApplicationMessage)
    this.send(bareAnswer)
  }
  wss.on('connection', (ws) => ws.on('message', onMessage))
  return { server, counts: () => ({ waiting: wss.clients.size - answered, accepted: answered }) }
}

/**
 * The smallest server with a deadline and authentication in the first frame: ws, one timer, one state, one frame.
 *
 * @param {Fixture} fixture
 * @returns {Guarded}
 */
function createByHand({ known }) {
  const server = createServer()
  const wss = new WebSocketServer({ noServer: true })
  /** @typedef {{ timer: NodeJS.Timeout | undefined, principal: { id: string } | undefined }} State */
  /** @type {WeakMap<WebSocket, State>} */
  const states = new WeakMap()
  let waiting = 0
  let accepted = 0

  const expire = (/** @type {WebSocket} */ ws) => ws.close(4408)
  /** @this {WebSocket} @param {Buffer} data */
  function onMessage(data) {
    const state = /** @type {State} */ (states.get(this))
    const { token } = JSON.parse(data.toString())
    const principal = typeof token === 'string' ? known.get(digest(token)) : undefined
    if (principal === undefined || principal.expiresAt <= Date.now()) {
      this.close(4401)
      return
    }
    clearTimeout(state.timer)
    state.timer = undefined
    state.principal = principal
    waiting--
    accepted++
    this.off('message', onMessage)
    this.send(
      JSON.stringify({
        type: 'auth_ok',
        principal: { kind: 'device', id: principal.id },
        scopes: ['node'],
        roles: ['node'],
      }),
    )
    this.on('message', onApplicationMessage)
  }
  /** @this {WebSocket} */
  function onClose() {
    const state = /** @type {State} */ (states.get(this))
    clearTimeout(state.timer)
    if (state.principal === undefined) waiting--
    else accepted--
  }
  const onOpen = (/** @type {WebSocket} */ ws) => {
    states.set(ws, { timer: setTimeout(expire, deadline, ws), principal: undefined })
    ws.on('message', onMessage)
    ws.on('close', onClose)
    waiting++
  }
  server.on('upgrade', (request, socket, head) => {
    if (request.url === '/ws') wss.handleUpgrade(request, socket, head, onOpen)
    else socket.destroy()
  })
  return { server, counts: () => ({ waiting, accepted }) }
}

/**
 * The smallest server that takes a credential from the header of the upgrade.
 *
 * @param {Fixture} fixture
 * @returns {Guarded}
 */
function createHeaderByHand({ known }) {
  const server = createServer()
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (ws) => ws.on('message', onApplicationMessage))
  server.on('upgrade', (request, socket, head) => {
    const { authorization } = request.headers
    const token = authorization?.startsWith('Bearer ') ? authorization.slice(7) : ''
    const principal = known.get(digest(token))
    if (request.url !== '/ws' || principal === undefined || principal.expiresAt <= Date.now()) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      return
    }
    wss.handleUpgrade(request, socket, head, (ws) => wss.emit('connection', ws, request, principal))
  })
  return { server, counts: () => ({ waiting: 0, accepted: wss.clients.size }) }
}

/**
 * Upgate: every limit of the quarantine on, those that count sockets wide enough for the sample.
 *
 * @param {Fixture} fixture
 * @returns {Guarded}
 */
function createGuarded({ gate }) {
  const server = createServer()
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (ws) => ws.on('message', onApplicationMessage))
  const guarded = guardServer(server, gate, { sockets: { '/ws': wss }, deadline, maxSockets: 40_000 })
  return {
    server,
    counts() {
      const { quarantined, accepted } = guarded.counts
      return { waiting: quarantined, accepted }
    },
  }
}

/**
 * @param {Guard} guard
 * @param {Fixture} fixture
 * @returns {Guarded}
 */
export function createSocketServer(guard, fixture) {
  switch (guard) {
    case 'bare':
      return createBare()
    case 'hand':
      return createByHand(fixture)
    case 'hand-header':
      return createHeaderByHand(fixture)
    case 'gate':
      return createGuarded(fixture)
  }
}
