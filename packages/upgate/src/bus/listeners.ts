import { sequenceIn } from '../core/ports/bus.ts'

/** Listeners of a bus. */
export interface BusListeners {
  add(listener: (sequence: number) => void): () => void
  /** Delivers an announcement; other messages on the channel are ignored. */
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
