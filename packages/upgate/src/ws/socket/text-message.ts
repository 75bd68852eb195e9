import { isUtf8 } from 'node:buffer'

const finalText = 0x81
const masked = 0x80

/**
 * Reads a chunk that is one whole text message of a client: a single frame, final, masked, with the shortest length,
 * in UTF-8, and nothing behind it (RFC 6455 section 5.2). It is unmasked in place.
 *
 * @param maxPayload - bytes
 * @returns the payload, or `undefined` for every other chunk, which is as it was
 */
export function textMessage(chunk: Buffer, maxPayload: number): Buffer | undefined {
  if (chunk.length < 6 || chunk[0] !== finalText) return undefined
  const short = (chunk[1] as number) - masked
  // No mask, or a length of 64 bits.
  if (short < 0 || short === 127) return undefined
  const length = short < 126 ? short : chunk.readUInt16BE(2)
  const start = short < 126 ? 6 : 8
  if (chunk.length !== start + length || length > maxPayload || (short === 126 && length < 126))
    return undefined
  toggleMask(chunk, start)
  const payload = chunk.subarray(start)
  if (isUtf8(payload)) return payload
  toggleMask(chunk, start)
  return undefined
}

/** The four bytes in front of the payload are its mask. */
function toggleMask(frame: Buffer, start: number): void {
  const mask = start - 4
  for (let i = start; i < frame.length; i++) {
    frame[i] = (frame[i] as number) ^ (frame[mask + ((i - start) & 3)] as number)
  }
}
