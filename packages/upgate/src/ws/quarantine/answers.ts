import { atOnce } from '../../core/async/maybe-promise.ts'
import type { InBand } from '../../core/contract/decision.ts'
import type { Frame, HandshakeStep } from '../../core/contract/handshake.ts'

/** A message of `ws`, whatever its `binaryType`, as handshakes see frames. */
export function frameOf(data: unknown, isBinary: boolean): Frame {
  const bytes = Array.isArray(data)
    ? Buffer.concat(data as Buffer[])
    : Buffer.isBuffer(data)
      ? data
      : Buffer.from(data as ArrayBuffer)
  return isBinary ? { binary: true, bytes } : { binary: false, text: bytes.toString() }
}

/** Whether a credential is present at all: handshakes and applications may pass on absent or malformed values. */
export function isReadable(inBand: Partial<InBand> | null | undefined): boolean {
  const credential = inBand?.credential
  if (typeof credential !== 'object' || credential === null) return false
  return credential.type === 'opaque' || typeof credential.value === 'string'
}

/**
 * Checks the step that a handshake returned for a frame.
 *
 * @throws TypeError if it is not a step: an impossible step must not leave the socket waiting, nor throw later
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
 * Checks the frames that a handshake wants to send.
 *
 * @throws TypeError if the value is not a list of frames
 */
export function framesOf(hook: string, frames: readonly string[]): readonly string[] {
  const list: unknown = atOnce(hook, frames)
  const sound =
    Array.isArray(list) && list.every((each) => typeof each === 'string' || each instanceof Uint8Array)
  if (!sound) throw new TypeError(`What \`${hook}\` answered is no list of frames.`)
  return frames
}
