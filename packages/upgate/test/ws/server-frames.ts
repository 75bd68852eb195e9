/** A frame of a server: not masked. */
export interface ServerFrame {
  readonly opcode: number
  readonly payload: Buffer
}

/** Reads the frames that a server wrote (RFC 6455 section 5.2). Throws if the last one is not whole. */
export function readFrames(bytes: Buffer): ServerFrame[] {
  const frames: ServerFrame[] = []
  for (let at = 0; at < bytes.length; ) {
    const [first, second] = [bytes.readUInt8(at), bytes.readUInt8(at + 1)]
    if ((second & 0x80) !== 0) throw new Error('a server does not mask')
    const size = second & 0x7f
    const start = at + (size < 126 ? 2 : size === 126 ? 4 : 10)
    const length = size < 126 ? size : size === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6)
    if (start + length > bytes.length) throw new Error('half a frame')
    frames.push({ opcode: first & 0x0f, payload: bytes.subarray(start, start + length) })
    at = start + length
  }
  return frames
}
