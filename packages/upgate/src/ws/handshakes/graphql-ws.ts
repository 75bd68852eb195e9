import { closeCodesOf } from '../../core/contract/client-families.ts'
import type { Handshake, HandshakeStep } from '../../core/contract/handshake.ts'
import { fn, optional, text, withDefault } from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import { closeOnly } from './close-only.ts'
import { type JsonFrameOptions, type JsonMessage, makeJsonFrame } from './json-frame.ts'
import { bad, isObject, own, readObject } from './read-frame.ts'

/** Options of {@link graphqlWs}. */
export interface GraphqlWsOptions<M = JsonMessage> extends Pick<JsonFrameOptions<M>, 'declared' | 'name'> {
  /**
   * Where the credential is in the `payload` of `connection_init`, the client's `connectionParams`: a token as a
   * string, or a whole credential. A `connection_init` without a payload carries none.
   */
  readonly credential: JsonFrameOptions<M>['credential']
}

const graphqlWsOptions = optionTable<GraphqlWsOptions>()({
  credential: fn('a function that finds the credential in the payload, as in (payload) => payload.token'),
  declared: optional(fn()),
  name: withDefault(text(), 'graphql-ws'),
})

/**
 * The protocol `graphql-transport-ws` of graphql-ws, with the credential in its `connectionParams`.
 *
 * The gate reads `connection_init`, and the application acknowledges it. The gate sends no message but the `pong` for a
 * `ping`. A refused client gets a close code: a final one stops it, and after an expired credential (4403) it connects
 * again with what its function `connectionParams` then returns.
 *
 * @param options - `credential` is required
 * @returns the handshake, for a deferred rule
 * @throws TypeError for unknown or missing options.
 * @example
 * graphqlWs({ credential: (payload) => payload.token })
 */
export function graphqlWs<M = JsonMessage>(options: GraphqlWsOptions<M>): Handshake {
  const read = graphqlWsOptions.read('graphqlWs', options as unknown as GraphqlWsOptions)
  const found = read as Required<GraphqlWsOptions<M>>
  const frames = makeJsonFrame<M>('graphqlWs', { ...found, replay: true, closeCodes: 'graphql-ws' })
  const codes = closeCodesOf('graphql-ws')
  return {
    ...frames,
    receive(frame, context): HandshakeStep {
      const message = readObject(frame)
      if (message.rejection) return message.rejection
      const payload = own(message.value, 'payload')
      switch (own(message.value, 'type')) {
        case 'ping':
          return { step: 'send', frames: ['{"type":"pong"}'] }
        case 'pong':
          return { step: 'ignore' }
        case 'connection_init':
          break
        default:
          return bad('The first message must be `connection_init`.')
      }
      if (payload !== undefined && payload !== null && !isObject(payload)) {
        return bad('The payload of `connection_init` must be an object.')
      }
      return frames.receive({ binary: false, text: JSON.stringify(payload ?? {}) }, context)
    },
    claims(frame) {
      const message = readObject(frame)
      if (message.rejection || own(message.value, 'type') !== 'connection_init') return false
      const payload = own(message.value, 'payload')
      // Every client begins so. If a cookie let the client in, this message may carry no credential.
      return isObject(payload) && frames.claims?.({ binary: false, text: JSON.stringify(payload) }) === true
    },
    reject: ({ code }) => closeOnly(code, codes),
  }
}
