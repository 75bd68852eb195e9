import { closeCodes } from 'upgate/protocol'
import type { Handshake } from 'upgate/ws'
import { connectFrame } from 'upgate/ws'

/**
 * The `connect` request that nodes of existing gateways send, by token or signed with a key over the nonce of the
 * `connect.challenge` that opens every connection. One difference: silence until the deadline
 * closes with 4408, so that a node can tell a slow network, after which it should try again, from a bad token.
 */
export function nodeHandshake(): Handshake {
  const frames = connectFrame({ deviceKeys: true })
  return {
    ...frames,
    reject(refusal, context) {
      const answer = frames.reject(refusal, context)
      return refusal.code === 'handshake_timeout' ? { ...answer, closeCode: closeCodes.timeout } : answer
    },
  }
}
