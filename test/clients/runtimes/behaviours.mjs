// How a connection is kept, by a clock that only moves when it is told to, and a transport without a network: the same in
// every runtime, and in a page.

const accepted = { type: 'auth_ok', principal: { kind: 'device', id: 'd' }, scopes: [], roles: [] }
const refused = { error: { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:1' } }

/** @param {number} status @param {string} code @param {Record<string, string>} [headers] */
const answer = (status, code, headers = {}) => ({
  response: { status, headers: { 'upgate-refusal': `${code}; gate="g"`, ...headers } },
})

/** Lets promises settle. */
const turns = async () => {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
}

function createClock() {
  let now = 1_796_000_000_000
  /** @type {Set<{ at: number, callback: () => void }>} */
  const timers = new Set()
  return {
    now: () => now,
    /** @param {number} milliseconds @param {() => void} callback */
    setTimer(milliseconds, callback) {
      const timer = { at: now + milliseconds, callback }
      timers.add(timer)
      return { cancel: () => void timers.delete(timer) }
    },
    /** @param {number} milliseconds */
    advance(milliseconds) {
      const end = now + milliseconds
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)
        if (next === undefined) break
        timers.delete(next)
        now = next.at
        next.callback()
      }
      now = end
    },
  }
}

/**
 * @param {typeof import('@upgate/client').connect} connect
 * @param {Partial<import('@upgate/client').ConnectOptions>} options
 * @param {import('@upgate/client').Network} [network]
 */
async function scene(connect, options = {}, network = undefined) {
  const clock = createClock()
  /** @type {{ events: import('@upgate/client').TransportEvents, sent: unknown[], pings: number, ended: boolean }[]} */
  const sockets = []
  const connection = connect('wss://gateway.example.com/ws', {
    credential: 'ugd_token-of-the-test',
    clock,
    random: () => 0.5,
    ...options,
    transport: {
      sendsHeaders: false,
      ...(network !== undefined && { network }),
      open(_request, events) {
        const socket = { events, sent: /** @type {unknown[]} */ ([]), pings: 0, ended: false }
        sockets.push(socket)
        const end = (/** @type {number} */ code) => {
          if (!socket.ended) events.closed(code, '')
          socket.ended = true
        }
        return {
          send: (data) => void socket.sent.push(data),
          close: end,
          terminate: () => end(1006),
          ping: () => void socket.pings++,
        }
      },
    },
  })
  await turns()
  const last = () => /** @type {(typeof sockets)[number]} */ (sockets.at(-1))
  return {
    clock,
    connection,
    sockets,
    last,
    /** Milliseconds until the next attempt. */
    waits: () =>
      connection.state.name === 'waiting' ? connection.state.until - clock.now() : connection.state.name,
    async accept(more = {}) {
      last().events.opened('')
      await turns()
      last().events.message(JSON.stringify({ ...accepted, ...more }))
      await turns()
    },
    /** @param {object} facts */
    async fail(facts) {
      last().events.observed(facts)
      last().events.closed(1006, '')
      await turns()
    },
  }
}

/**
 * Everything that a connection does by itself; the same values come from every runtime.
 *
 * @param {typeof import('@upgate/client').connect} connect
 */
export async function behaviours(connect) {
  /** @type {Record<string, unknown>} */
  const found = {}

  /** @type {string[]} */
  const asked = []
  const renewal = await scene(connect, {
    credential({ reason }) {
      asked.push(reason)
      return `ugd_token-for-${reason}`
    },
  })
  await renewal.accept({ expiresAt: 1 })
  renewal.last().events.message('{"type":"auth_expiring","expiresAt":1,"time":0}')
  await turns()
  found.renewal = [asked, renewal.sockets.length, JSON.parse(String(renewal.last().sent.at(-1)))]
  renewal.connection.close()

  let online = true
  let changed = () => {}
  const network = {
    isOnline: () => online,
    /** @param {() => void} callback */
    onChange(callback) {
      changed = callback
      return () => {}
    },
  }
  const away = await scene(connect, {}, network)
  await away.accept()
  online = false
  away.last().events.closed(1006, '')
  await turns()
  away.clock.advance(3_600_000)
  await turns()
  const whileOffline = [away.connection.state.name, away.sockets.length]
  online = true
  changed()
  away.clock.advance(500)
  await turns()
  found.offline = [...whileOffline, away.sockets.length]
  away.connection.close()

  const pinged = await scene(connect)
  await pinged.accept()
  const pings = []
  for (const milliseconds of [44_999, 1, 44_999, 1]) {
    pinged.clock.advance(milliseconds)
    pings.push(pinged.last().pings)
    if (pings.length === 2) pinged.last().events.pong()
  }
  pinged.clock.advance(20_000)
  await turns()
  found.pings = [...pings, pinged.connection.state.name]
  pinged.connection.close()

  const stops = []
  for (const [status, code] of /** @type {const} */ ([
    [403, 'kind_not_allowed'],
    [403, 'origin_refused'],
    [401, 'invalid_credential'],
    [503, 'over_capacity'],
  ])) {
    const stopped = await scene(connect)
    await stopped.fail(answer(status, code))
    stops.push(stopped.connection.state.name)
    stopped.connection.close()
  }
  found.stops = stops

  const named = await scene(connect)
  await named.fail(answer(503, 'over_capacity', { 'retry-after': '120' }))
  const wait = named.waits()
  named.clock.advance(119_999)
  await turns()
  found.retryAfter = [wait, named.sockets.length]
  named.connection.close()

  const reset = await scene(connect)
  const pauses = []
  for (let failure = 0; failure < 3; failure++) {
    await reset.fail(refused)
    pauses.push(reset.waits())
    reset.clock.advance(30_000)
    await turns()
  }
  for (const stays of [29_999, 30_000]) {
    await reset.accept()
    reset.clock.advance(stays)
    await reset.fail(refused)
    pauses.push(reset.waits())
    reset.clock.advance(30_000)
    await turns()
  }
  found.reset = pauses
  reset.connection.close()
  return found
}
