import { connect, type Socket } from 'node:net'

/** A plain TCP connection that keeps everything it is sent. */
export interface RawClient {
  readonly socket: Socket
  /** What arrived so far, as Latin-1. */
  readonly text: () => string
  /** Resolves when what arrived matches. Rejects when the connection ends without it. */
  until(pattern: RegExp): Promise<string>
  /** Resolves with everything when the other side is done or the connection is gone. */
  ended(): Promise<string>
}

/** Connects and sends bytes as they are: what no HTTP client would let through. */
export function raw(port: number, bytes: string | Buffer): RawClient {
  const socket = connect({ port, host: '127.0.0.1' })
  let text = ''
  let over = false
  const watchers = new Set<() => void>()
  const notify = (): void => {
    for (const watcher of watchers) watcher()
  }
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    notify()
  })
  const end = (): void => {
    over = true
    notify()
  }
  socket.on('end', end)
  socket.on('close', end)
  socket.on('error', end)
  socket.write(bytes)
  return {
    socket,
    text: () => text,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(text)) resolve(text)
          else if (over) reject(new Error(`ended without ${pattern}: ${JSON.stringify(text)}`))
          else return
          watchers.delete(look)
        }
        watchers.add(look)
        look()
      }),
    ended: () =>
      new Promise((resolve) => {
        const look = (): void => {
          if (over) resolve(text)
        }
        watchers.add(look)
        look()
      }),
  }
}

/** An HTTP/1.1 request as bytes; lines are sent as given. */
export function request(line: string, headers: readonly string[] = [], body = ''): string {
  return `${[line, 'Host: gateway.example.com', ...headers].join('\r\n')}\r\n\r\n${body}`
}

/** A well-formed WebSocket handshake as bytes. */
export function handshake(target: string, headers: readonly string[] = []): string {
  return request(`GET ${target} HTTP/1.1`, [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  ])
}

/** A masked text frame, as a client sends it. */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text)
  const mask = Buffer.from([1, 2, 3, 4])
  const head =
    payload.length < 126
      ? Buffer.from([0x81, 0x80 | payload.length])
      : Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 255])
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ (mask[i % 4] as number))])
}
