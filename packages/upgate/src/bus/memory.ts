import { busMessage, type RevocationBus } from '../core/ports/bus.ts'
import { createBusListeners } from './listeners.ts'

/**
 * Creates a bus within this process: for tests, and for several services over one store in one process.
 *
 * @example
 * const bus = memoryBus()
 * const [here, there] = [createServices({ store, bus }), createServices({ store, bus })]
 */
export function memoryBus(): RevocationBus {
  const listeners = createBusListeners()
  let closed = false
  return {
    announce(sequence) {
      // Delivered later, as with any other bus.
      if (!closed) queueMicrotask(() => listeners.hear(busMessage(sequence)))
    },
    subscribe: listeners.add,
    close: async () => {
      closed = true
    },
  }
}
