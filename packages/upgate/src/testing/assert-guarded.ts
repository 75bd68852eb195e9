import { isGuarded } from '../ws/guards.ts'

/**
 * Throws unless a gate guards this server: for the test that fails when somebody takes `guardServer` out again.
 *
 * @throws Error naming what to do
 * @example
 * assertGuarded(server)
 */
export function assertGuarded(server: object): void {
  if (isGuarded(server)) return
  throw new Error(
    'No gate guards this server: its requests and upgrades reach the listeners undecided. Call guardServer(server, gate, ...) from upgate/ws before it listens.',
  )
}
