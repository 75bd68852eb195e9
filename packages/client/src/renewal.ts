import type { Attempt } from './attempt-contract.ts'
import { type Credential, secretsOf } from './credential.ts'
import type { ConnectOptions } from './options.ts'
import { refusal as overPlain } from './plain.ts'
import { fetchCredential } from './prepare.ts'

/**
 * Fetches and sends a newer credential for an open socket, if there is a function to ask; otherwise the expiry ends the
 * socket. Answers the credential that was sent.
 */
export async function renewCredential(
  source: ConnectOptions['credential'],
  {
    current,
    maySendSecrets,
    signal,
    failed,
  }: {
    /** The attempt whose socket is open now; a renewal that comes too late is not sent on the next one. */
    readonly current: () => Attempt | undefined
    readonly maySendSecrets: boolean
    readonly signal: AbortSignal
    readonly failed: (failure: { readonly code: string; readonly message: string }) => void
  },
): Promise<Credential | undefined> {
  if (typeof source !== 'function') return undefined
  const from = current()
  try {
    const newer = await fetchCredential(source, { reason: 'renewal', diagnosis: undefined, signal })
    if (newer === undefined || from === undefined || from !== current()) return undefined
    // The socket may have been opened with a device key, which is not sent.
    if (!maySendSecrets && secretsOf(newer).length > 0) failed(overPlain('the renewed credential'))
    else if (from.renew(newer)) return newer
  } catch {
    failed({
      code: 'credential_unavailable',
      message: 'The function that fetches the credential failed.',
    })
  }
  return undefined
}
