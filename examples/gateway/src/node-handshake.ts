import { closeCodes } from 'upgate/protocol'
import type { Handshake } from 'upgate/ws'
import { connectFrame } from 'upgate/ws'

/**
 * Creates the handshake for the `connect` request of existing gateways' nodes, which carries a token or a signature
 * over the nonce of the `connect.challenge` that opens every connection. One difference: silence until the deadline
 * closes with 4408, so that a node can tell a slow network, where a retry makes sense, from a bad token.
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
