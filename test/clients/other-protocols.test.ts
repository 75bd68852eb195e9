// Clients whose protocol the gate does not speak: a frame of ours on their sockets ended their programs (Hocuspocus
// throws, graphql-ws closes with 4004), and Phoenix' clients cannot read an object.
import { readFileSync } from 'node:fs'
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import { createClient } from 'graphql-ws'
import { Socket as PhoenixSocket } from 'phoenix'
import type { Principal, RefusalCode, Scheme } from 'upgate'
import { closeCodeFor } from 'upgate/protocol'
import { manualClock } from 'upgate/testing'
import { type Handshake, jsonFrame } from 'upgate/ws'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { stripTypes } from '../docs/strip-types.ts'
import { inBand, isFinal, pass, refusing, startStage, takeTimers } from './refusals-stage.ts'

afterEach(() => void vi.useRealTimers())

const origin = 'https://gateway.example.com'

/** A browser's socket: it sends its Origin and its cookie by itself. */
class BrowserSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols, { headers: { origin, cookie: 'session=one' } })
    // A browser throws no exception where a page closes a socket that is still connecting.
    this.on('error', () => {})
  }
}

/** Sessions of browsers. `until`: when the session ends; 0: the cookie is stale. */
function sessions(clock: { now(): number }, until: () => number): Scheme {
  return {
    name: 'sessions',
    ambient: true,
    yields: ['user'],
    extract(request) {
      if (request.headers.cookie === undefined) return undefined
      const credential = { type: 'opaque', source: 'cookie', name: 'session', value: 'one' } as const
      return { location: 'session', credential }
    },
    verify() {
      const expiresAt = until()
      if (expiresAt <= clock.now())
        return { outcome: 'rejected', code: 'invalid_credential', reason: 'stale' }
      const principal: Principal = {
        kind: 'user',
        id: 'ada',
        scheme: 'sessions',
        scopes: [],
        roles: [],
        attributes: {},
        expiresAt,
      }
      return { outcome: 'authenticated', principal }
    },
  }
}

const chosen = (offered: Set<string>): string | false =>
  offered.has('graphql-transport-ws') ? 'graphql-transport-ws' : false

function subscribe(url: string, webSocketImpl: unknown, connectionParams: object = {}) {
  const ended: unknown[] = []
  const client = createClient({
    url,
    webSocketImpl,
    retryAttempts: 1_000,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 1_000)),
    connectionParams: { ...connectionParams },
  })
  const sink = { next() {}, error: (error: unknown) => void ended.push(error), complete() {} }
  const stop = client.subscribe({ query: 'subscription { ticks }' }, sink)
  return { ended, stop }
}

describe('a page with a stale cookie, on a path without a handshake', () => {
  test('Hocuspocus gets a close code and no frame, and does not throw', async () => {
    const clock = manualClock()
    const rules = [{ path: '/collab', access: 'required' }] as const
    const stage = await startStage({ clock, rules, schemes: [sessions(clock, () => 0)] })
    takeTimers()
    const closes: { readonly code: number; readonly reason: string }[] = []
    const frames: unknown[] = []
    const websocketProvider = new HocuspocusProviderWebsocket({
      url: `ws://127.0.0.1:${stage.port}/collab`,
      WebSocketPolyfill: BrowserSocket,
      onClose: ({ event }) => void closes.push({ code: event.code, reason: event.reason }),
      onMessage: (message) => void frames.push(message),
    })
    const provider = new HocuspocusProvider({ websocketProvider, name: 'page' })
    await pass(stage, 10)
    expect(closes.length).toBeGreaterThanOrEqual(2)
    expect(closes[0]).toEqual({ code: 4401, reason: 'auth_required' })
    expect(frames).toEqual([])
    provider.destroy()
    websocketProvider.destroy()
    vi.useRealTimers()
    await stage.close()
  })

  test('graphql-ws stops, and says why', async () => {
    const clock = manualClock()
    const rules = [{ path: '/graphql', access: 'required', closeCodes: 'graphql-ws' }] as const
    const stage = await startStage({
      clock,
      rules,
      schemes: [sessions(clock, () => 0)],
      handleProtocols: chosen,
    })
    takeTimers()
    const { ended, stop } = subscribe(`ws://127.0.0.1:${stage.port}/graphql`, BrowserSocket)
    await pass(stage, 20)
    expect(stage.attempts('/graphql')).toBe(1)
    expect(ended).toMatchObject([{ code: 4401, reason: 'auth_required' }])
    stop()
    vi.useRealTimers()
    await stage.close()
  })
})

test('graphql-ws comes back after the end of its session, where the rule names it', async () => {
  const clock = manualClock()
  let until = 0
  for (const closeCodes of ['graphql-ws', undefined] as const) {
    until = clock.now() + 5_000
    const rules = [{ path: '/graphql', access: 'required', ...(closeCodes && { closeCodes }) }] as const
    const stage = await startStage({
      clock,
      rules,
      schemes: [sessions(clock, () => until)],
      handleProtocols: chosen,
    })
    stage.wss.on('connection', acknowledge)
    takeTimers()
    const { ended, stop } = subscribe(`ws://127.0.0.1:${stage.port}/graphql`, BrowserSocket)
    await pass(stage, 3)
    // The page goes on using its session, which is renewed.
    until = clock.now() + 600_000
    await pass(stage, 10)
    // Without the name, 4401 at the expiry is fatal to it.
    const expected = closeCodes ? { accepted: 2, ended: [] } : { accepted: 1, ended: [{ code: 4401 }] }
    expect({ accepted: stage.accepted.length, ended }).toMatchObject(expected)
    stop()
    vi.useRealTimers()
    await stage.close()
  }
})

function acknowledge(ws: WebSocket): void {
  ws.on('message', (data) => {
    if (JSON.parse(String(data)).type === 'connection_init') ws.send('{"type":"connection_ack"}')
  })
}

/** Verifies every token. */
const anyToken: Scheme = {
  name: 'token',
  ambient: false,
  claims: (credential) => credential.type === 'token',
  verify: () => ({
    outcome: 'authenticated',
    principal: { kind: 'device', id: 'd', scheme: 'token', scopes: [], roles: [], attributes: {} },
  }),
}

test('`jsonFrame` with `replay` leaves the acknowledgement to the application', async () => {
  const handshake = jsonFrame<{ readonly payload?: { readonly token?: string } }>({
    credential: (message) => message.payload?.token,
    replay: true,
    closeCodes: 'graphql-ws',
  })
  const rules = [{ path: '/graphql', access: 'deferred', kinds: ['device'], handshake }] as const
  const stage = await startStage({ rules, schemes: [anyToken], handleProtocols: chosen })
  stage.wss.on('connection', acknowledge)
  const url = `ws://127.0.0.1:${stage.port}/graphql`
  takeTimers()
  const good = subscribe(url, WebSocket, { token: 'good' })
  const without = subscribe(url, WebSocket)
  await pass(stage, 5)
  // A message of ours would have been 4004, Bad response.
  expect({ accepted: stage.accepted.length, ended: good.ended }).toEqual({ accepted: 1, ended: [] })
  expect(without.ended).toMatchObject([{ code: 4401, reason: 'auth_required' }])
  good.stop()
  without.stop()
  vi.useRealTimers()
  await stage.close()
})

/** The handshake that the guide prints. */
const guide = readFileSync(new URL('../../docs/guide-websockets.md', import.meta.url), 'utf8')
const printed = /^```ts\n(import \{ closeCodeFor \}[^`]*?const phoenix: Handshake = .*?)^```/ms.exec(
  guide,
)?.[1]
const program = stripTypes(printed ?? '').replace(/^import .*$/gm, '')
const phoenix = new Function('closeCodeFor', `${program}; return phoenix`)(closeCodeFor) as Handshake

test("Phoenix' client never stops by itself, hears the reason, and stops where its application says so", async () => {
  const stage = await startStage({
    schemes: [anyToken],
    rules: inBand.map((code) => ({
      path: `/${code}/websocket`,
      access: 'deferred',
      kinds: ['device'],
      handshake: refusing(phoenix, code),
    })),
  })
  takeTimers()
  const heard = new Map<RefusalCode, Set<string>>()
  const sockets = inBand.map((code) => {
    const socket = new PhoenixSocket(`ws://127.0.0.1:${stage.port}/${code}`, {
      transport: WebSocket,
      timeout: 10_000,
    })
    heard.set(code, new Set())
    socket.connect()
    socket
      .channel('room:1', { token: 'a-token' })
      .join()
      .receive('error', ({ reason }) => {
        heard.get(code)?.add(reason)
        if (isFinal(reason as RefusalCode)) socket.disconnect()
      })
    return socket
  })
  await pass(stage, 30)
  for (const code of inBand) {
    const attempts = stage.attempts(`/${code}/websocket`)
    expect([...(heard.get(code) ?? [])], code).toContain(code)
    if (isFinal(code)) expect(attempts, code).toBe(1)
    else expect(attempts, code).toBeGreaterThanOrEqual(3)
  }
  for (const socket of sockets) socket.disconnect()
  vi.useRealTimers()
  await stage.close()
})
