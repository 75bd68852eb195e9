import { digest } from '../../crypto/digest.ts'

/** The GUID that every endpoint appends to the key (RFC 6455 section 1.3). */
const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** The `Sec-WebSocket-Accept` of a `Sec-WebSocket-Key` (RFC 6455 section 4.2.2). */
export function acceptKey(key: string): string {
  return digest('sha1', key + guid, 'base64')
}
