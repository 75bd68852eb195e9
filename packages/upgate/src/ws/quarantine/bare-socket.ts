import type { Principal } from '../../core/contract/principal.ts'
import { type AttachedStream, attached } from '../socket/attached.ts'
import { closeFrame, serverFrame } from '../socket/server-frame.ts'
import { textMessage } from '../socket/text-message.ts'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'
import { Arrival } from './arrival.ts'

/** What a conversation does with its socket, whoever writes the frames. */
export type Speaker = Pick<
  WebSocketLike,
  'readyState' | 'isPaused' | 'send' | 'close' | 'terminate' | 'pause' | 'resume'
>

/** What a bare socket reports. */
export interface BareListener {
  /** More bytes arrived, with a message. */
  received(length: number): void
  message(data: Buffer, isBinary: boolean): void
  /** Bytes that are not one whole message: from now on a WebSocket object has to read them, and what follows. */
  unread(bytes: Buffer): void
  /** The socket has gone. */
  closed(): void
}

const open = 1
const closing = 2
const closed = 3

/**
 * A socket that was answered 101, without a WebSocket object, which would cost it more memory than everything else
 * together: the facts about its upgrade, and a raw socket with listeners that all bare sockets share. The frames that
 * it sends are written by hand. It reads only what most clients send here, one whole text message at a time.
 *
 * One object with the facts: waiting sockets are many, and each object costs 24 bytes besides its fields.
 */
export class BareSocket<P extends Principal> extends Arrival<P> implements Speaker {
  #readyState: number = open
  #listener: BareListener | undefined
  /** The subprotocol of the 101; empty if there is none. */
  protocol: string = ''

  /** The 101 is written: from now on it reads, and may speak. */
  begin(listener: BareListener, protocol: string): void {
    this.#listener = listener
    this.protocol = protocol
    // What `ws` does with a socket that it takes: the HTTP server's timeout must not end it.
    const { setTimeout, setNoDelay } = this.raw as Partial<
      Record<'setTimeout' | 'setNoDelay', (value?: number) => void>
    >
    setTimeout?.call(this.raw, 0)
    setNoDelay?.call(this.raw)
    listen(this.raw, this)
  }

  get readyState(): number {
    return this.#readyState === open && this.raw.readableEnded ? closing : this.#readyState
  }

  get isPaused(): boolean {
    return this.raw.isPaused()
  }

  send(data: string | Uint8Array): void {
    if (this.readyState !== open) return
    const text = typeof data === 'string'
    this.raw.write(serverFrame(text ? 'text' : 'binary', text ? Buffer.from(data) : data))
  }

  close(code: number, reason: string): void {
    if (this.readyState !== open) return
    this.#readyState = closing
    this.raw.write(closeFrame(code, reason))
  }

  terminate(): void {
    this.#readyState = closed
    this.raw.destroy()
  }

  pause(): void {
    this.raw.pause()
  }

  resume(): void {
    this.raw.resume()
  }

  /** Takes its listeners off: somebody else reads from the raw socket, which is paused until then. */
  leave(): void {
    const raw = this.raw as AttachedStream<BareReader>
    raw.pause()
    raw.allowHalfOpen = true
    raw.removeListener('data', onData)
    raw.removeListener('error', onError)
    raw.removeListener('close', onClose)
    raw[attached] = undefined
  }

  /** Takes the raw socket back: nobody else reads from it. */
  stay(): void {
    if (this.raw.destroyed) this.#readyState = closed
    listen(this.raw, this)
    this.raw.resume()
  }

  read(bytes: Buffer): void {
    if (this.#readyState !== open) {
      // The close frame is out, and no frame that still comes changes anything: a client that gets a FIN behind a close
      // frame knows that the connection ends well.
      this.raw.end()
      return
    }
    const message = textMessage(bytes, maxPayloadOf(this.wss))
    if (message === undefined) {
      this.#listener?.unread(bytes)
      return
    }
    this.#listener?.received(bytes.length)
    this.#listener?.message(message, false)
  }

  gone(): void {
    this.#readyState = closed
    this.#listener?.closed()
  }
}

/** Bytes of payload that a server of `ws` takes in a message. */
function maxPayloadOf(wss: WebSocketServerLike): number {
  const { options } = wss as { readonly options?: { readonly maxPayload?: number } }
  return options?.maxPayload || Number.POSITIVE_INFINITY
}

type BareReader = Pick<BareSocket<Principal>, 'read' | 'gone'>
// No private method: the first one of a class costs each object 8 bytes.
function listen(raw: AttachedStream<BareReader>, bare: BareReader): void {
  raw[attached] = bare
  // Ends as soon as its client has: a listener for `end`, besides Node's own, would cost two lists.
  raw.allowHalfOpen = false
  raw.on('data', onData)
  raw.on('error', onError)
  raw.on('close', onClose)
}

type RawSocket = AttachedStream<BareReader>

function onData(this: RawSocket, chunk: Buffer): void {
  this[attached]?.read(chunk)
}

/** `close` follows. */
function onError(this: RawSocket): void {
  this.destroy()
}

function onClose(this: RawSocket): void {
  this[attached]?.gone()
}
