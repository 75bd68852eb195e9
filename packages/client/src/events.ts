/** A list of listeners for named events. */
export interface Emitter<Events extends { readonly [name: string]: (value: never) => void }> {
  /** Adds a listener; the returned function removes it. */
  on<Name extends keyof Events>(name: Name, listener: Events[Name]): () => void
  emit<Name extends keyof Events>(name: Name, value: Parameters<Events[Name]>[0]): void
}

/** Creates an emitter. A listener that throws stops nothing: its exception is uncaught, as that of a timer is. */
export function createEmitter<Events extends { readonly [name: string]: (value: never) => void }>(
  names: readonly (keyof Events & string)[],
): Emitter<Events> {
  const listeners = new Map<keyof Events, Set<(value: never) => void>>(names.map((name) => [name, new Set()]))
  return {
    on(name, listener) {
      const set = listeners.get(name)
      if (set === undefined)
        throw new TypeError(`There is no event \`${String(name)}\`; the events are ${names.join(', ')}.`)
      if (typeof listener !== 'function')
        throw new TypeError(`on('${String(name)}'): the listener must be a function.`)
      set.add(listener)
      return () => void set.delete(listener)
    },
    emit(name, value) {
      for (const listener of [...(listeners.get(name) ?? [])]) {
        try {
          ;(listener as (value: unknown) => void)(value)
        } catch (error) {
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
  }
}
