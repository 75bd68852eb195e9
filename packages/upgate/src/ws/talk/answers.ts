import type { InBand } from '../../core/contract/decision.ts'
import type { Frame, HandshakeStep, OutgoingFrame } from '../../core/contract/handshake.ts'
import type { Message } from '../socket/message.ts'

/** A message of `ws`, whatever its `binaryType`, as handshakes see frames. */
export function frameOf(data: unknown, isBinary: boolean): Frame {
  const bytes = Array.isArray(data)
    ? Buffer.concat(data as Buffer[])
    : Buffer.isBuffer(data)
      ? data
      : Buffer.from(data as ArrayBuffer)
  return isBinary ? { binary: true, bytes } : { binary: false, text: bytes.toString() }
}

/** A frame that a handshake hands to the application, as a message of `ws`. */
export function messageOf(frame: OutgoingFrame): Message {
  return [Buffer.from(frame as string), typeof frame !== 'string']
}

/** Whether a credential is present at all: handshakes and applications may pass on absent or malformed values. */
export function isReadable(inBand: Partial<InBand> | null | undefined): boolean {
  const credential = inBand?.credential
  if (typeof credential !== 'object' || credential === null) return false
  return credential.type === 'opaque' || typeof credential.value === 'string'
}

/**
 * Checks the credential in a handshake's step; `core/rules/checked-handshake.ts` has checked the rest of it.
 *
 * @throws TypeError if what the step carries is no credential
 */
export function withCredential<S extends HandshakeStep>(step: S): S {
  if (step.step === 'credential' && !isReadable(step)) throw new TypeError('What it found is no credential.')
  return step
}
