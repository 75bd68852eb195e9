const fin = 0x80

const opcodes = { text: 1, binary: 2, close: 8 } as const

/** One whole frame of a server: final, not masked (RFC 6455 section 5.2). */
export function serverFrame(kind: keyof typeof opcodes, payload: Uint8Array): Buffer {
  const { length } = payload
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const frame = Buffer.allocUnsafe(2 + extended + length)
  frame[0] = fin | opcodes[kind]
  if (extended === 0) frame[1] = length
  else if (extended === 2) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
  frame.set(payload, 2 + extended)
  return frame
}

/** A close frame. The code and the reason are valid: see `validCloseCode` and `validCloseReason`. */
export function closeFrame(code: number, reason: string): Buffer {
  const payload = Buffer.allocUnsafe(2 + Buffer.byteLength(reason))
  payload.writeUInt16BE(code, 0)
  payload.write(reason, 2)
  return serverFrame('close', payload)
}
