import { sequenceIn } from '../core/ports/bus.ts'

/** Who listens on a bus. */
export interface BusListeners {
  add(listener: (sequence: number) => void): () => void
  /** Hands on an announcement; whatever else is said on the channel is ignored. */
  hear(message: unknown): void
}

export function createBusListeners(): BusListeners {
  const listeners = new Set<(sequence: number) => void>()
  return {
    add(listener) {
      const own = (sequence: number): void => listener(sequence)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    hear(message) {
      const sequence = sequenceIn(message)
      if (sequence === undefined) return
      for (const listener of [...listeners]) listener(sequence)
    },
  }
}
