import { atOnce } from '../../core/async/maybe-promise.ts'
import type { RefusalCode } from '../../core/contract/codes.ts'
import type { Credential } from '../../core/contract/credential.ts'
import type { InBand } from '../../core/contract/decision.ts'
import { deviceProofOf } from '../../core/contract/device-proof.ts'
import type { Frame, HandshakeStep } from '../../core/contract/handshake.ts'
import type { RevocationReason } from '../../core/ports/revocations.ts'

/** A message of `ws`, whatever its `binaryType`, as handshakes see frames. */
export function frameOf(data: unknown, isBinary: boolean): Frame {
  const bytes = Array.isArray(data)
    ? Buffer.concat(data as Buffer[])
    : Buffer.isBuffer(data)
      ? data
      : Buffer.from(data as ArrayBuffer)
  return isBinary ? { binary: true, bytes } : { binary: false, text: bytes.toString() }
}

/** Whether there is a credential at all: handshakes and applications hand on what clients sent, and what they did not. */
export function isReadable(inBand: Partial<InBand> | null | undefined): boolean {
  const credential = inBand?.credential
  if (typeof credential !== 'object' || credential === null) return false
  return credential.type === 'opaque' || typeof credential.value === 'string'
}

/**
 * What a handshake made of a frame, checked.
 *
 * @throws TypeError for what is no step: what cannot be carried out must not leave the socket waiting, nor throw later
 */
export function stepOf(answer: HandshakeStep): HandshakeStep {
  const step = atOnce('receive', answer)
  switch (step.step) {
    case 'credential':
      if (!isReadable(step)) throw new TypeError('What it found is no credential.')
      return step
    case 'send':
      framesOf('receive', step.frames)
      return step
    case 'ignore':
    case 'reject':
      return step
    default:
      throw new TypeError('What it answered is no step.')
  }
}

/**
 * Frames to be sent, checked.
 *
 * @throws TypeError for what is no list of frames
 */
export function framesOf(hook: string, frames: readonly string[]): readonly string[] {
  const list: unknown = atOnce(hook, frames)
  const sound =
    Array.isArray(list) && list.every((each) => typeof each === 'string' || each instanceof Uint8Array)
  if (!sound) throw new TypeError(`What \`${hook}\` answered is no list of frames.`)
  return frames
}

/** Whether trying finds it: passwords and codes. Fewer than 22 characters of base62 hold fewer than 128 bits. */
export function isGuessable(credential: Credential): boolean {
  const beside = deviceProofOf(credential)?.beside
  if (beside !== undefined) return isGuessable(beside)
  return credential.type === 'password' || (credential.type === 'token' && credential.value.length < 22)
}

/** Whether a refusal says something against the client; waiting, or a store that is down, does not. */
export function countsAsFailure(code: RefusalCode): boolean {
  switch (code) {
    case 'handshake_timeout':
    case 'auth_required':
    // Who waits for an approval comes back again and again, as it is told to.
    case 'pairing_required':
    case 'pairing_full':
    case 'unavailable':
    case 'over_capacity':
    case 'too_many_sockets':
    case 'too_many_failures':
      return false
    default:
      return true
  }
}

/** The refusal for a credential that was revoked while it was being verified. */
export function codeOfRevocation(reason: RevocationReason): RefusalCode {
  if (reason === 'unavailable') return 'unavailable'
  if (reason === 'expired') return 'expired_credential'
  return reason === 'disabled' ? 'account_disabled' : 'revoked_credential'
}

/** The refusal for an error of `ws` about what the peer sent. */
export function codeOfSocketError(error: unknown): 'too_big' | 'bad_handshake' {
  const { code } = (error ?? {}) as { code?: unknown }
  return code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'too_big' : 'bad_handshake'
}
