import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as realTime } from 'node:timers/promises'
import { createGate, type RefusalCode, type RuleOptions, type Scheme } from 'upgate'
import { adviceFor, closeCodeFor, refusalCodes } from 'upgate/protocol'
import { type ManualClock, manualClock } from 'upgate/testing'
import { guardServer, type Handshake, type QuarantineOptions } from 'upgate/ws'
import { vi } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { watchUpgrades } from './watch-upgrades.ts'

/** Codes of refusals before the 101: no handshake ever has to word them. */
const before101: readonly RefusalCode[] = [
  'origin_refused',
  'host_refused',
  'malformed_target',
  'ambiguous_target',
  'duplicate_header',
  'malformed_upgrade',
  'unsupported_upgrade',
  'unknown_path',
  'method_refused',
  'upgrade_required',
]

/** Codes of refusals that a client can get in band. */
export const inBand: readonly RefusalCode[] = refusalCodes.filter((code) => !before101.includes(code))

/** Whether our advice for a refusal is to stop, or to come back only with another credential. */
export function isFinal(code: RefusalCode): boolean {
  const advice = adviceFor(closeCodeFor(code))
  // Its request waits for an approval, and the device collects its token with its next socket.
  return code !== 'pairing_required' && (advice === 'stop' || advice === 'renew')
}

/** A handshake that refuses every frame with one code, in its own words. */
export function refusing(handshake: Handshake, code: RefusalCode): Handshake {
  return {
    ...handshake,
    receive(frame, context) {
      const step = handshake.receive(frame, context)
      return step.step === 'credential' ? { step: 'reject', code, detail: 'Refused by the test.' } : step
    },
  }
}

/** A server on loopback under a clock that the test moves. */
export interface Stage {
  readonly port: number
  readonly clock: ManualClock
  readonly wss: WebSocketServer
  readonly warnings: readonly string[]
  /** Sockets that the application got, in order. */
  readonly accepted: readonly WebSocket[]
  /** Upgrades by path that were answered 101. */
  attempts(path: string): number
  close(): Promise<void>
}

/** Starts a server with these rules. All paths share one WebSocketServer. */
export async function startStage(options: {
  readonly rules: readonly (RuleOptions & { readonly path: string })[]
  readonly schemes: readonly Scheme[]
  readonly clock?: ManualClock
  readonly limits?: QuarantineOptions
  readonly handleProtocols?: (offered: Set<string>) => string | false
}): Promise<Stage> {
  const { rules, schemes, clock = manualClock(), limits = {}, handleProtocols } = options
  const warnings: string[] = []
  const logger = {
    warn: (text: string) => void warnings.push(text),
    error: (text: string) => void warnings.push(text),
  }
  const origins = ['https://gateway.example.com']
  // A proxy that names no client: the limits per address would count all clients of the test as one.
  const gate = createGate({ clock, logger, origins, trustedProxies: ['loopback'], schemes, rules })
  const wss = new WebSocketServer({ noServer: true, ...(handleProtocols && { handleProtocols }) })
  const attempts = new Map<string, number>()
  const accepted: WebSocket[] = []
  wss.on('connection', (ws: WebSocket) => accepted.push(ws))
  const server = createServer()
  const sockets = Object.fromEntries(rules.map(({ path }) => [path, wss]))
  const guarded = guardServer(server, gate, { sockets, ...limits })
  watchUpgrades(server, ({ url }) => {
    const path = url?.split('?')[0] ?? ''
    attempts.set(path, (attempts.get(path) ?? 0) + 1)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    clock,
    wss,
    warnings,
    accepted,
    attempts: (path) => attempts.get(path) ?? 0,
    async close() {
      const drained = guarded.close()
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
      clock.advance(10_000)
      await drained
      gate.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Takes the timers that reconnecting waits for, and leaves those of Node's sockets alone. */
export function takeTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
}

/**
 * Lets time pass for the clients and for the gate. The pauses in between are for the network, not for time: no
 * assertion depends on their length.
 */
export async function pass(stage: Stage, seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 2; i++) {
    await vi.advanceTimersByTimeAsync(500)
    stage.clock.advance(500)
    await realTime(4)
  }
}
