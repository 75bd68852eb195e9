/**
 * The address of a client, each in a network of its own.
 *
 * @param {string} family `IPv4` or `IPv6`
 * @param {'flood' | 'first' | 'known'} which
 * @param {number} n
 */
export function addressOf(family, which, n) {
  const block = { flood: 0, first: 1, known: 2 }[which]
  if (family === 'IPv4') return `${11 + block}.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
  // A /48 each.
  return `2001:${(0xd00 + block).toString(16)}:${(n & 0xffff).toString(16)}::1`
}

/**
 * @param {string} address
 * @returns {string} The upgrade of a client at that address
 */
export function upgradeFrom(address) {
  return [
    'GET /ws HTTP/1.1',
    'Host: gateway.example.com',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `X-Forwarded-For: ${address}`,
    '',
    '',
  ].join('\r\n')
}

/**
 * A text frame as clients send it: masked, here with zeros. At most 125 bytes.
 *
 * @param {string} text
 */
export function frameOf(text) {
  const payload = Buffer.from(text)
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload])
}
