import type { IncomingMessage } from 'node:http'
import type { ForwardedRequests } from '../forwarded.ts'
import { upgradeHeaders } from '../http/headers.ts'
import { isPlainTarget } from '../http/target.ts'
import type { WaitingUpstream } from '../sockets/handed-nonce-handshake.ts'
import type { Held } from '../sockets/relay.ts'
import { openUpstream, readChallenge, UpstreamError } from './open.ts'
import type { Slot, Slots } from './slots.ts'

/** An open socket at the gateway, with the place that it takes until the gateway accepts it. */
export interface OpenedUpstream {
  readonly opened: Held
  readonly slot: Slot
}

/** The sockets that the front opens at the gateway. Each takes a place first. */
export interface UpstreamSockets {
  /** Notes that a client was accepted: others of its network come before unknown ones. */
  remember(request: IncomingMessage): void
  /** For a client of its own request: the gateway gets its address, and its user. */
  openFor(request: IncomingMessage, signal: AbortSignal, onEvicted: () => void): Promise<OpenedUpstream>
  /** For the front itself, which brings a node: without any word about a proxy, as a client of the gateway. */
  openAsFront(request: IncomingMessage, signal: AbortSignal): Promise<OpenedUpstream>
  /** For a client that has proved nothing yet; answers when the gateway has sent its challenge. */
  openForUnproven(client: {
    readonly path: string
    readonly address: string | undefined
    readonly signal: AbortSignal
  }): Promise<WaitingUpstream>
}

export interface UpstreamSocketsOptions {
  /** Of the gateway. */
  readonly url: URL
  /** Public origin of the front. */
  readonly origin: string
  readonly userHeader: string
  readonly slots: Slots
  readonly forwarded: ForwardedRequests
  addressOf(request: IncomingMessage): string | undefined
}

export function createUpstreamSockets(options: UpstreamSocketsOptions): UpstreamSockets {
  const { url, origin, userHeader, slots, forwarded, addressOf } = options
  const target = (path: string): URL => {
    const at = new URL(path, url)
    at.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    return at
  }
  const open = async (
    path: string,
    headers: Readonly<Record<string, string | readonly string[]>>,
    slot: Slot,
    signal: AbortSignal,
  ): Promise<OpenedUpstream> => {
    try {
      const opened = await openUpstream({ url: target(path), headers, signal })
      return { opened, slot }
    } catch (error) {
      slot.release()
      throw error
    }
  }
  const never = (): void => {}

  return {
    remember: (request) => slots.remember(addressOf(request)),
    async openFor(request, signal, onEvicted) {
      const path = request.url ?? '/'
      if (!isPlainTarget(path))
        throw new UpstreamError('upstream_refused', 'The path could be read in two ways.')
      const as = forwarded.of(request)
      const slot = await slots.take({
        address: addressOf(request),
        proven: as.user !== undefined,
        signal,
        onEvicted,
      })
      return open(path, upgradeHeaders(request.headers, as), slot, signal)
    },
    async openAsFront(request, signal) {
      const address = addressOf(request)
      const slot = await slots.take({ address, proven: true, signal, onEvicted: never })
      return open('/', {}, slot, signal)
    },
    async openForUnproven({ address, signal }) {
      let opened: Held | undefined
      const slot = await slots.take({
        address,
        proven: false,
        signal,
        // The node learns it by its next message: it may come back.
        onEvicted: () => opened?.socket.terminate(),
      })
      const as = {
        address: address ?? 'unknown',
        origin,
        userHeader,
        user: undefined,
        keepAuthorization: false,
      }
      ;({ opened } = await open('/', upgradeHeaders({}, as), slot, signal))
      try {
        const challenge = await readChallenge(opened, signal)
        opened.socket.once('close', () => slot.release())
        slot.opened()
        return { held: challenge.held, challenge, slot }
      } catch (error) {
        slot.release()
        throw error
      }
    },
  }
}
