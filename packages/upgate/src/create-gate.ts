import type { PrincipalOf, Scheme } from './core/contract/credential.ts'
import type { Gate, GateOptions } from './core/contract/gate.ts'
import { createGateWith } from './core/decide/create-gate.ts'
import { processWarnings } from './platform/process-warnings.ts'
import { systemClock } from './platform/system-clock.ts'

/**
 * Creates a gate: one engine that decides HTTP requests, WebSocket upgrades and in-band credentials alike.
 *
 * Options are checked at once; the error names the option and the remedy.
 *
 * @param options - `schemes` is required; `origins` is as soon as a scheme is ambient or a rule is deferred
 * @returns the gate; call `close()` when it is no longer used, so that it leaves its revocation feeds
 * @throws TypeError for an unknown or wrong option, a malformed pattern, or a rule that an earlier rule hides
 * @example
 * const { keys, devices } = createServices({ store: memoryStore() })
 * const gate = createGate({
 *   origins: ['https://gateway.example.com'],
 *   schemes: [apiKey({ keys }), deviceToken({ devices })],
 *   rules: [
 *     { path: '/health', access: 'public' },
 *     { path: '/ws', access: 'deferred', kinds: ['device'], handshake: connectFrame() },
 *   ],
 * })
 */
export function createGate<const S extends readonly Scheme[]>(
  options: GateOptions<PrincipalOf<S>> & { readonly schemes: S },
): Gate<PrincipalOf<S>> {
  return createGateWith(options, { clock: systemClock, logger: processWarnings })
}
