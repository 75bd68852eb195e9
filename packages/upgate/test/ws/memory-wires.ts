import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect, createSecureContext, TLSSocket } from 'node:tls'
import { certificate } from '../pitfalls/tls-fixture.ts'
import { MemorySocket, turn } from './memory-socket.ts'

/** A client and its connection, as the server sees it. */
export interface Wire {
  readonly socket: Duplex
  /** Sends bytes, and waits until they have arrived and are answered. */
  send(chunk: Buffer): Promise<void>
  /** Sends nothing more. */
  finish(): void
  arrived(): Promise<void>
  /** Everything that the server wrote after its 101. */
  answered(): Buffer
  isEnded(): boolean
}

export async function plainWire(): Promise<Wire> {
  const socket = new MemorySocket()
  return {
    socket,
    async send(chunk) {
      socket.push(Buffer.from(chunk))
      await turn()
    },
    finish: () => socket.push(null),
    arrived: turn,
    answered: () => socket.answered,
    isEnded: () => socket.writableEnded || socket.destroyed,
  }
}

/** One end of a connection in memory; its bytes go to the other end. */
class End extends Duplex {
  other: End | undefined
  readonly remoteAddress = '127.0.0.1'

  override _read(): void {}

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.other?.push(Buffer.from(chunk))
    done()
  }

  override _final(done: () => void): void {
    this.other?.push(null)
    done()
  }

  /** A reset, to the other end. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.other?.destroyed === false) this.other.destroy()
    done(error)
  }
}

const secureContext = createSecureContext(certificate)
/** Longer chunks have records as long as they are: each byte is a record, and each record is encrypted by itself. */
const longestInBytes = 600

export async function tlsWire(): Promise<Wire> {
  const [near, far] = [new End(), new End()]
  near.other = far
  far.other = near
  const socket = new TLSSocket(far as unknown as Socket, { isServer: true, secureContext })
  socket.on('error', () => {})
  // As the sockets of `https.Server` are.
  socket.allowHalfOpen = true
  const client = connect({ socket: near, rejectUnauthorized: false, servername: 'localhost' })
  const received: Buffer[] = []
  let ended = false
  client.on('data', (data) => received.push(data))
  for (const event of ['end', 'close'] as const) client.on(event, () => (ended = true))
  client.on('error', () => {})
  await new Promise((resolve) => client.once('secureConnect', resolve))
  const arrived = async (): Promise<void> => {
    for (let i = 0; i < 16; i++) await turn()
  }
  await arrived()
  return {
    socket,
    async send(chunk) {
      const size = chunk.length > longestInBytes ? chunk.length : 1
      for (let i = 0; i < chunk.length && client.writable; i += size)
        client.write(chunk.subarray(i, i + size))
      await arrived()
    },
    finish: () => client.end(),
    arrived,
    answered() {
      const all = Buffer.concat(received)
      return all.subarray(all.indexOf('\r\n\r\n') + 4)
    },
    isEnded: () => ended,
  }
}
