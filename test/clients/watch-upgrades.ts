import type { IncomingMessage, Server } from 'node:http'

/**
 * Shows every upgrade of a guarded server before its guard gets it. A `headers` listener would show them, too, and make
 * the WebSocket server answer 101 by itself.
 */
export function watchUpgrades(server: Server, see: (request: IncomingMessage) => void): void {
  const { emit } = server
  server.emit = (event: string, ...values: unknown[]) => {
    if (event === 'upgrade') see(values[0] as IncomingMessage)
    return Reflect.apply(emit, server, [event, ...values])
  }
}
