import { connectFrame, type Handshake, type HandshakeContext, type HandshakeStep } from 'upgate/ws'
import type { Challenge } from '../upstream/connect-request.ts'
import type { Slot } from '../upstream/slots.ts'
import { end, type Held } from './relay.ts'

/** A socket at the gateway that sent its challenge and waits for a `connect` request. */
export interface WaitingUpstream {
  readonly held: Held
  readonly challenge: Challenge
  readonly slot: Slot
}

/** Opens a socket at the gateway for a client that has proved nothing yet. */
export type OpenForUnproven = (client: {
  readonly path: string
  readonly address: string | undefined
  readonly signal: AbortSignal
}) => Promise<WaitingUpstream>

/** A node that the front accepted, with the socket whose nonce it signed. */
export interface SignedNode {
  readonly upstream: WaitingUpstream
  /** Its `connect` request, to the letter. */
  readonly text: string
}

interface Notes {
  readonly gone: AbortController
  /** The view of the socket that `connectFrame` gets, with the gateway's nonce. */
  view: HandshakeContext | undefined
  upstream: WaitingUpstream | undefined
}

/**
 * The handshake of nodes that sign the gateway's own nonce, so that the gateway knows them by their own keys: the
 * gateway is opened first, and the front verifies the same proof that it hands on. Every client, also an unknown one,
 * costs a socket at the gateway, which `open` has to bound.
 */
export function handedNonceHandshake(open: OpenForUnproven): Handshake<Notes, SignedNode> {
  const frames = connectFrame({ deviceKeys: true })
  return {
    name: 'handed-nonce',
    state: () => ({ gone: new AbortController(), view: undefined, upstream: undefined }),
    async open(context) {
      const { state } = context
      const upstream = await open({
        path: context.path,
        address: context.clientAddress,
        signal: state.gone.signal,
      })
      state.upstream = upstream
      if (context.gone) {
        release(upstream)
        return []
      }
      const { nonce, ts, text } = upstream.challenge
      state.view = viewOf(context, frames, nonce, ts)
      // `connectFrame` notes the nonce that it would have sent; the node gets the gateway's words.
      frames.open?.(state.view)
      return [text]
    },
    receive(frame, { state }) {
      const { view, upstream } = state
      if (view === undefined || upstream === undefined) return gone
      // Read in any case: the refusal answers the request by its id.
      const step = frames.receive(frame, view)
      if (isGone(upstream)) return gone
      // From here on the place is safe: an answer to a proof must not be lost to a silent client.
      if (step.step === 'credential') upstream.slot.prove()
      return step
    },
    accept(_acceptance, context, frame) {
      const { upstream } = context.state
      if (upstream === undefined || frame === undefined || frame.binary)
        throw new Error('The frame is missing.')
      context.value = { upstream, text: frame.text }
      return []
    },
    reject(refusal, context, frame) {
      const { state } = context
      // A refused socket is held for a second before it is closed; the gateway has nothing to wait for.
      // A device that asks to be paired has proved its key.
      if (state.upstream !== undefined) release(state.upstream, refusal.code !== 'pairing_required')
      state.view ??= viewOf(context, frames, '', context.now())
      return frames.reject(refusal, state.view, frame)
    },
    closed({ state }) {
      state.gone.abort(new Error('The client has gone.'))
      if (state.upstream !== undefined) release(state.upstream)
    },
  }
}

const gone: HandshakeStep = {
  step: 'reject',
  code: 'unavailable',
  detail: 'The gateway closed the socket that waited for this node.',
}

function isGone({ held: { socket } }: WaitingUpstream): boolean {
  return socket.readyState !== socket.OPEN
}

function release({ held, slot }: WaitingUpstream, spent = true): void {
  slot.release(spent)
  end(held.socket, 1001, 'client_gone')
}

function viewOf(outer: HandshakeContext, frames: Handshake, nonce: string, ts: number): HandshakeContext {
  return {
    state: frames.state?.(),
    value: undefined,
    now: () => ts,
    randomId: () => nonce,
    path: outer.path,
    clientAddress: outer.clientAddress,
    httpPrincipal: outer.httpPrincipal,
    get gone() {
      return outer.gone
    },
  }
}
