import { UsageError } from '../io.ts'

/**
 * Refuses what a doctor must not send: tickets (sending one consumes it) and short secrets. A gate cannot tell a doctor
 * from a client that guesses, so that a password or a pairing code would count toward the lock.
 *
 * @throws UsageError
 */
export function assertSendable(token: string): void {
  if (token.startsWith('ugt_')) {
    throw new UsageError(
      'The token is a ticket: sending it would consume it. Give a device token or an API key.',
    )
  }
  if (token.length < 20) {
    throw new UsageError(
      'The token has fewer than 20 characters. The doctor sends no password and no pairing code, because a gate counts those as guesses.',
    )
  }
}
