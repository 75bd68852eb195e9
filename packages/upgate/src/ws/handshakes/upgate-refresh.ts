import type { HandshakeRefresh } from '../../core/contract/handshake.ts'
import { authExpiringFrame, authRefreshedFrame, authRefreshFailedFrame } from '../../protocol.ts'
import { isObject, missing, own } from './read-frame.ts'
import { accepted, readAuth, refused } from './upgate-auth.ts'

/**
 * `{"type":"auth_refresh","token":...}` on an accepted socket, answered by `auth_refreshed` or
 * `auth_refresh_failed`.
 */
export const upgateRefresh: HandshakeRefresh = {
  marker: '"auth_refresh"',
  receive(frame) {
    if (frame.binary) return undefined
    let value: unknown
    try {
      value = JSON.parse(frame.text)
    } catch {
      return undefined
    }
    // Application data may well quote the marker.
    if (!isObject(value) || own(value, 'type') !== 'auth_refresh') return undefined
    const fields = readAuth(value)
    if (fields.rejection) return fields.rejection
    const { credential, declared } = fields.value
    if (credential === undefined) {
      return missing('The `auth_refresh` message carries neither `token` nor `password`.')
    }
    return { step: 'credential', credential, declared }
  },
  accept: (acceptance) => [authRefreshedFrame(accepted(acceptance))],
  reject: (refusal) => [authRefreshFailedFrame(refused(refusal))],
  expiring: (expiresAt, now) => [authExpiringFrame({ expiresAt, time: now })],
}
