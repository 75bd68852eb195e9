// What the published clients of graphql-ws and Centrifugo do after each refusal and each end, by their own sockets. Any
// frame of ours is fatal to the first (4004), and 4401, which stops the first, makes the second connect without end.
import { Centrifuge, type TransportName } from 'centrifuge'
import { createClient } from 'graphql-ws'
import type { Principal, RefusalCode, RevocationReason, Scheme } from 'upgate'
import { manualClock } from 'upgate/testing'
import { centrifuge, graphqlWs } from 'upgate/ws'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { inBand, isFinal, pass, refusing, type Stage, startStage, takeTimers } from './refusals-stage.ts'

interface Tried {
  /** How the client ended for good, if it did. */
  readonly ended: readonly unknown[]
  stop(): void
}

/** An expired credential is renewed by these clients, so that they have to come back with the new one. */
const comesBack = (code: RefusalCode): boolean => !isFinal(code) || code === 'expired_credential'

function runGraphql(url: string, token: () => string = () => 'a-token'): Tried {
  const ended: unknown[] = []
  const client = createClient({
    url,
    webSocketImpl: WebSocket,
    retryAttempts: 1_000,
    // Its own pauses grow beyond a minute.
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 1_000)),
    connectionParams: () => ({ token: token() }),
  })
  const sink = { next() {}, error: (error: unknown) => void ended.push(error), complete() {} }
  const stop = client.subscribe({ query: 'subscription { ticks }' }, sink)
  return { ended, stop }
}

function runCentrifuge(url: string, token: () => string = () => 'a-token'): Tried {
  const ended: unknown[] = []
  const client = new Centrifuge([{ transport: 'websocket' as TransportName, endpoint: url }], {
    websocket: WebSocket,
    token: token(),
    getToken: async () => token(),
    minReconnectDelay: 1_000,
    maxReconnectDelay: 1_000,
  })
  client.on('disconnected', (context) => ended.push(context))
  client.on('error', () => {})
  client.connect()
  return { ended, stop: () => client.disconnect() }
}

const families = [
  ['graphql-ws', runGraphql, graphqlWs({ credential: (payload) => payload.token })],
  ['centrifuge', runCentrifuge, centrifuge()],
] as const

const refuses: Scheme = {
  name: 'none',
  ambient: false,
  claims: () => true,
  verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: 'none' }),
}

const chosen = (offered: Set<string>): string | false =>
  offered.has('graphql-transport-ws') ? 'graphql-transport-ws' : false

describe.each(families)('the client of %s', (family, run, handshake) => {
  describe('for half a minute after it was refused', () => {
    let stage: Stage
    const tried = new Map<RefusalCode, Tried>()

    beforeAll(async () => {
      stage = await startStage({
        schemes: [refuses],
        handleProtocols: chosen,
        rules: inBand.map((code) => ({
          path: `/${code}`,
          access: 'deferred',
          kinds: ['device'],
          handshake: refusing(handshake, code),
        })),
      })
      takeTimers()
      for (const code of inBand) tried.set(code, run(`ws://127.0.0.1:${stage.port}/${code}`))
      await pass(stage, 30)
    })

    afterAll(async () => {
      for (const one of tried.values()) one.stop()
      vi.useRealTimers()
      await stage.close()
    })

    test.each(inBand.map((code) => [code, comesBack(code) ? 'brings it back' : 'stops it'] as const))(
      '%s %s',
      (code) => {
        const attempts = stage.attempts(`/${code}`)
        const ended = tried.get(code)?.ended
        if (comesBack(code)) {
          expect(attempts).toBeGreaterThanOrEqual(5)
          expect(ended).toEqual([])
        } else {
          // For 1009 the client of centrifuge has a sentence of its own.
          const reason = code === 'too_big' ? expect.any(String) : code
          expect({ attempts, ended }).toMatchObject({ attempts: 1, ended: [{ reason }] })
        }
      },
    )
  })

  describe('after its accepted socket was ended', () => {
    afterEach(() => void vi.useRealTimers())

    const ends: readonly (readonly [RevocationReason | 'shutdown', boolean])[] = [
      ['expired', true],
      ['rotated', true],
      ['narrowed', true],
      ['unavailable', true],
      ['revoked', false],
      ['disabled', false],
      ['logged_out', false],
    ]

    test.each(ends)('%s: comes back is %s', async (reason, back) => {
      const clock = manualClock()
      const { scheme, end } = issuing(clock)
      const stage = await startStage({
        clock,
        schemes: [scheme],
        handleProtocols: chosen,
        rules: [{ path: '/live', access: 'deferred', kinds: ['device'], handshake }],
      })
      acknowledges(stage, family)
      takeTimers()
      const tried = run(`ws://127.0.0.1:${stage.port}/live`)
      await pass(stage, 2)
      expect(stage.accepted).toHaveLength(1)
      end(reason as RevocationReason)
      await pass(stage, 5)
      expect({ accepted: stage.accepted.length, ended: tried.ended.length }).toEqual(
        back ? { accepted: 2, ended: 0 } : { accepted: 1, ended: 1 },
      )
      tried.stop()
      vi.useRealTimers()
      await stage.close()
    })

    test('it renews a token that expired, and goes on', async () => {
      const clock = manualClock()
      const { scheme, tokens } = issuing(clock)
      const stage = await startStage({
        clock,
        schemes: [scheme],
        handleProtocols: chosen,
        rules: [{ path: '/live', access: 'deferred', kinds: ['device'], handshake }],
      })
      acknowledges(stage, family)
      takeTimers()
      let current = 'first'
      tokens.set('first', stage.clock.now() + 5_000)
      const tried = run(`ws://127.0.0.1:${stage.port}/live`, () => current)
      await pass(stage, 2)
      tokens.set('second', undefined)
      current = 'second'
      await pass(stage, 20)
      expect({ accepted: stage.accepted.length, ended: tried.ended }).toEqual({ accepted: 2, ended: [] })
      tried.stop()
      vi.useRealTimers()
      await stage.close()
    })
  })
})

/** A scheme with tokens that expire, and a principal that can be ended for any reason. */
function issuing(clock: { now(): number }) {
  const tokens = new Map<string, number | undefined>([['a-token', undefined]])
  const listeners = new Set<(revocation: never) => void>()
  let sequence = 0
  const scheme: Scheme = {
    name: 'issued',
    ambient: false,
    claims: (credential) => credential.type === 'token',
    verify(credential) {
      const token = String(credential.value)
      if (!tokens.has(token)) return { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
      const expiresAt = tokens.get(token)
      if (expiresAt !== undefined && expiresAt <= clock.now()) {
        return { outcome: 'rejected', code: 'expired_credential', reason: 'expired' }
      }
      const principal: Principal = {
        kind: 'device',
        id: 'device',
        scheme: 'issued',
        credentialId: token,
        scopes: [],
        roles: [],
        attributes: {},
        ...(expiresAt !== undefined && { expiresAt }),
      }
      return { outcome: 'authenticated', principal }
    },
    revocations: {
      sequence: () => sequence,
      subscribe(listener) {
        listeners.add(listener as never)
        return () => listeners.delete(listener as never)
      },
    },
  }
  return {
    scheme,
    tokens,
    end(reason: RevocationReason) {
      sequence++
      const revocation = { sequence, at: 0, selector: { principalId: 'device' }, reason }
      for (const listener of listeners) listener(revocation as never)
    },
  }
}

/** The application acknowledges the first message, in the protocol of its clients. */
function acknowledges(stage: Stage, family: string): void {
  stage.wss.on('connection', (ws: WebSocket) => {
    ws.on('message', (data) => {
      const message = JSON.parse(String(data)) as { type?: string; id?: number; connect?: object }
      if (family === 'graphql-ws' && message.type === 'connection_init') ws.send('{"type":"connection_ack"}')
      if (message.connect !== undefined) {
        ws.send(JSON.stringify({ id: message.id, connect: { client: 'c', version: 'test' } }))
      }
    })
  })
}
