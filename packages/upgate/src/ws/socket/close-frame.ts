/** Close codes an endpoint may send (RFC 6455 section 7.4); `ws` throws for all others. */
export function validCloseCode(code: number): number {
  const valid =
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) ||
    (code >= 3000 && code <= 4999)
  return valid && Number.isInteger(code) ? code : 1008
}

/** Cuts a close reason to 123 bytes of UTF-8, the most a control frame holds, without splitting a character. */
export function validCloseReason(reason: string): string {
  if (Buffer.byteLength(reason) <= 123) return reason
  let bytes = 0
  let end = 0
  for (const character of reason) {
    bytes += Buffer.byteLength(character)
    if (bytes > 123) break
    end += character.length
  }
  return reason.slice(0, end)
}
