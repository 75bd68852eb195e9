import type { Duplex } from 'node:stream'
import { type AttachedStream, attached } from '../socket/attached.ts'
import { closeFrame, serverFrame } from '../socket/server-frame.ts'
import { textMessage } from '../socket/text-message.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import type { Answer101 } from './answer-by-hand.ts'

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
 * together: a raw socket with listeners that all bare sockets share. The frames that it sends are written by hand. It
 * reads only what most clients send here, one whole text message at a time.
 */
export class BareSocket implements Speaker {
  readyState: number = open
  readonly #raw: Duplex
  readonly #listener: BareListener
  /** The subprotocol of the 101; empty if there is none. */
  readonly protocol: string
  readonly #maxPayload: number

  constructor(raw: Duplex, listener: BareListener, { protocol, maxPayload }: Answer101) {
    this.#raw = raw
    this.protocol = protocol
    this.#maxPayload = maxPayload
    this.#listener = listener
    // What `ws` does with a socket that it takes: the HTTP server's timeout must not end it.
    const { setTimeout, setNoDelay } = raw as Partial<
      Record<'setTimeout' | 'setNoDelay', (value?: number) => void>
    >
    setTimeout?.call(raw, 0)
    setNoDelay?.call(raw)
    this.#listen()
  }

  #listen(): void {
    const raw = this.#raw as AttachedStream<BareSocket>
    raw[attached] = this
    raw.on('data', onData)
    raw.on('end', onEnd)
    raw.on('error', onError)
    raw.on('close', onClose)
  }

  get isPaused(): boolean {
    return this.#raw.isPaused()
  }

  send(data: string | Uint8Array): void {
    if (this.readyState !== open) return
    const text = typeof data === 'string'
    this.#raw.write(serverFrame(text ? 'text' : 'binary', text ? Buffer.from(data) : data))
  }

  close(code: number, reason: string): void {
    if (this.readyState !== open) return
    this.readyState = closing
    this.#raw.write(closeFrame(code, reason))
  }

  terminate(): void {
    this.readyState = closed
    this.#raw.destroy()
  }

  pause(): void {
    this.#raw.pause()
  }

  resume(): void {
    this.#raw.resume()
  }

  /** Takes its listeners off: somebody else reads from the raw socket, which is paused until then. */
  leave(): void {
    const raw = this.#raw
    raw.pause()
    raw.removeListener('data', onData)
    raw.removeListener('end', onEnd)
    raw.removeListener('error', onError)
    raw.removeListener('close', onClose)
    ;(raw as AttachedStream<BareSocket>)[attached] = undefined
  }

  /** Takes the raw socket back: nobody else reads from it. */
  stay(): void {
    if (this.#raw.destroyed) this.readyState = closed
    this.#listen()
    this.#raw.resume()
  }

  received(bytes: Buffer): void {
    if (this.readyState !== open) {
      // The close frame is out, and no frame that still comes changes anything: a client that gets a FIN behind a close
      // frame knows that the connection ends well.
      this.#raw.end()
      return
    }
    const message = textMessage(bytes, this.#maxPayload)
    if (message === undefined) {
      this.#listener.unread(bytes)
      return
    }
    this.#listener.received(bytes.length)
    this.#listener.message(message, false)
  }

  ended(): void {
    this.readyState = closing
    this.#raw.end()
  }

  gone(): void {
    this.readyState = closed
    this.#listener.closed()
  }
}

type RawSocket = AttachedStream<BareSocket>

function onData(this: RawSocket, chunk: Buffer): void {
  this[attached]?.received(chunk)
}

function onEnd(this: RawSocket): void {
  this[attached]?.ended()
}

/** `close` follows. */
function onError(this: RawSocket): void {
  this.destroy()
}

function onClose(this: RawSocket): void {
  this[attached]?.gone()
}
