import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Allow, Refused } from '../../core/contract/decision.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { endReasonOf } from '../accepted/endings.ts'
import { Addresses } from '../limits/addresses.ts'
import { Reports } from '../talk/reports.ts'
import { endRaw, registerRaw } from './raw-socket.ts'

/** The most sockets without a principal at a time: unauthenticated work is bounded. */
export interface HandledLimits {
  readonly maxUnprovenHandled: number
  /** For one address; wider IPv6 networks may have a multiple. */
  readonly maxSocketsPerAddress: number
}

/** An allowed upgrade of a path that a function owns. */
export interface HandledUpgrade<P extends Principal> {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly decision: Allow<P>
  /** Absent where it is not known: only the limit over all sockets applies. */
  readonly clientAddress: string | undefined
}

/** The raw sockets that functions own, from the hand-over to their end: registered, counted and reported. */
export class HandledSockets<P extends Principal> {
  readonly #gate: Gate<P>
  readonly #limits: HandledLimits
  readonly #addresses: Addresses
  readonly #reports: Reports<P>
  /** With the function that ends each. */
  readonly #live = new Map<Duplex, (reason: string) => void>()
  #unproven = 0

  constructor(gate: Gate<P>, limits: HandledLimits) {
    this.#gate = gate
    this.#limits = limits
    this.#addresses = new Addresses(gate.clock)
    this.#reports = new Reports(gate)
  }

  get size(): number {
    return this.#live.size
  }

  /** How many of them have no principal. */
  get unproven(): number {
    return this.#unproven
  }

  /** Takes a socket up, or returns why not: a limit, or a principal that was revoked since the decision. */
  take(upgrade: HandledUpgrade<P>): Refused | undefined {
    return upgrade.decision.principal === undefined
      ? this.#takeUnproven(upgrade)
      : this.#takeProven(upgrade, upgrade.decision.principal)
  }

  #takeUnproven({ socket, decision: { rule }, clientAddress }: HandledUpgrade<P>): Refused | undefined {
    const { maxUnprovenHandled, maxSocketsPerAddress } = this.#limits
    if (this.#unproven >= maxUnprovenHandled) return refuse('over_capacity', { rule })
    const bucket = this.#addresses.of(clientAddress)
    if (!this.#addresses.fits(bucket, 'anonymous', maxSocketsPerAddress)) {
      return refuse('too_many_sockets', { rule })
    }
    this.#unproven++
    this.#addresses.add(bucket, 'anonymous', 1)
    this.#keep(socket, () => {
      this.#unproven--
      this.#addresses.add(bucket, 'anonymous', -1)
    })
    return undefined
  }

  #takeProven(
    { request, socket, decision, clientAddress }: HandledUpgrade<P>,
    principal: P,
  ): Refused | undefined {
    let endReason: string | undefined
    const raw = registerRaw(this.#gate, request, socket, decision, (reason) => {
      endReason = endReasonOf(reason)
    })
    if (raw === undefined || 'code' in raw) return raw
    const described = { ...raw, clientAddress, peerAddress: request.socket.remoteAddress }
    const closed = (): void => this.#reports.closed({ ...described, endReason }, principal)
    this.#keep(socket, closed, (reason) => {
      endReason ??= reason
    })
    this.#reports.accepted({ ...described, endReason }, principal)
    return undefined
  }

  #keep(socket: Duplex, closed: () => void, ending: (reason: string) => void = () => {}): void {
    this.#live.set(socket, ending)
    socket.once('close', () => {
      this.#live.delete(socket)
      closed()
    })
  }

  /** Destroys one of them: its function failed. */
  end(socket: Duplex, reason: string): void {
    this.#live.get(socket)?.(reason)
    endRaw(socket, reason)
  }

  /** Destroys all of them, and resolves when they are closed. */
  async close(): Promise<void> {
    const closing = [...this.#live.keys()].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    )
    for (const socket of this.#live.keys()) this.end(socket, 'shutdown')
    await Promise.all(closing)
  }
}
