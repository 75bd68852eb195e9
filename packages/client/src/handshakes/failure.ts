import type { Observation } from '@upgate/diagnosis'

/** Thrown by a handshake that cannot go on before the socket is opened, such as one without a ticket. */
export class HandshakeFailure extends Error {
  override readonly name: 'HandshakeFailure' = 'HandshakeFailure'
  /** The observation; the verdict comes from it. */
  readonly observation: Observation

  constructor(observation: Observation) {
    super('The handshake could not prepare the upgrade.')
    this.observation = observation
  }
}
