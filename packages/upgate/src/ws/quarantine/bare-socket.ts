import type { Duplex } from 'node:stream'
import { type AttachedStream, attached } from '../socket/attached.ts'
import { closeFrame, serverFrame } from '../socket/server-frame.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'

/** What a conversation does with its socket, whoever writes the frames. */
export type Speaker = Pick<
  WebSocketLike,
  'readyState' | 'isPaused' | 'send' | 'close' | 'terminate' | 'pause' | 'resume'
>

/** What a bare socket reports. */
export interface BareListener {
  /** The first bytes of the client: from now on a WebSocket object has to read them. */
  spoke(bytes: Buffer): void
  /** The socket has gone. */
  closed(): void
}

const open = 1
const closing = 2
const closed = 3

/**
 * A socket that was answered 101, and whose client has sent nothing yet: a raw socket with listeners that all bare
 * sockets share. A WebSocket object would cost it more memory than everything else together. The frames that it sends
 * are written by hand; it reads none.
 */
export class BareSocket implements Speaker {
  readyState: number = open
  readonly #raw: Duplex
  readonly #listener: BareListener

  constructor(raw: Duplex, listener: BareListener) {
    this.#raw = raw
    this.#listener = listener
    // What `ws` does with a socket that it takes: the HTTP server's timeout must not end it.
    const { setTimeout, setNoDelay } = raw as Partial<
      Record<'setTimeout' | 'setNoDelay', (value?: number) => void>
    >
    setTimeout?.call(raw, 0)
    setNoDelay?.call(raw)
    ;(raw as AttachedStream<BareSocket>)[attached] = this
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

  received(bytes: Buffer): void {
    if (this.readyState === open) this.#listener.spoke(bytes)
    // The close frame is out, and no frame that still comes changes anything: whoever gets a FIN behind a close frame
    // knows that the connection ends well.
    else this.#raw.end()
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
