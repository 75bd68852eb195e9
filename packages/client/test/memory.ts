import type { Network, Transport, TransportEvents, TransportRequest } from '@upgate/client'
import type { Observation, Probes } from '@upgate/diagnosis'

/** One socket of the memory transport, seen from the server. */
export interface MemorySocket {
  readonly request: TransportRequest
  readonly events: TransportEvents
  readonly sent: (string | Uint8Array)[]
  pings: number
  ended: boolean
  /** Opens it, and answers the first frame of the minimal protocol. */
  accept(more?: object): Promise<void>
  /** Ends it before it opens. */
  fail(facts: Pick<Observation, 'error' | 'response'>): void
  close(code: number, reason?: string): void
}

/** A transport without a network, for tests with a clock that stands still. */
export function memoryTransport(
  more: { network?: Network; probe?: () => Promise<Probes | undefined> } = {},
): Transport & { readonly sockets: MemorySocket[] } {
  const sockets: MemorySocket[] = []
  return {
    sockets,
    sendsHeaders: true,
    ...more,
    open(request, events) {
      const socket: MemorySocket = {
        request,
        events,
        sent: [],
        pings: 0,
        ended: false,
        async accept(rest = {}) {
          events.opened('')
          await turns()
          events.message(
            JSON.stringify({
              type: 'auth_ok',
              principal: { kind: 'device', id: 'd' },
              scopes: [],
              roles: [],
              ...rest,
            }),
          )
          await turns()
        },
        fail(facts) {
          events.observed(facts)
          socket.close(1006)
        },
        close(code, reason = '') {
          if (socket.ended) return
          socket.ended = true
          events.closed(code, reason)
        },
      }
      sockets.push(socket)
      return {
        send: (data) => void socket.sent.push(data),
        close: (code, reason) => socket.close(code, reason),
        terminate: () => socket.close(1006),
        ping: () => void socket.pings++,
      }
    },
  }
}

/** Lets promises settle. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}
