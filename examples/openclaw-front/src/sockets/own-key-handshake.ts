import { connectFrame, type Handshake } from 'upgate/ws'
import { type Json, parseObject } from './json.ts'

/** A node that the front accepted, on its way to the gateway. */
export interface ArrivedNode {
  /** Its `connect` request. */
  readonly request: Json
  /** A token that the front made for it on this occasion. */
  readonly issued: Json | undefined
}

/**
 * The handshake of nodes that sign the front's nonce. The gateway is opened after they proved themselves, and its
 * `hello-ok` is their acknowledgement: unknown clients cost the gateway nothing.
 *
 * `claims` is left out: behind the login of a person, the first frame is meant for the gateway.
 */
export function ownKeyHandshake(): Handshake<unknown, ArrivedNode> {
  const { claims: _, ...frames } = connectFrame({ deviceKeys: true })
  return {
    ...(frames as Handshake<unknown, ArrivedNode>),
    accept({ issued }, context, frame) {
      const request = frame === undefined || frame.binary ? undefined : parseObject(frame.text)
      if (request === undefined) throw new Error('The frame of an accepted node is missing.')
      context.value = { request, issued: issued as Json | undefined }
      return []
    },
  }
}
