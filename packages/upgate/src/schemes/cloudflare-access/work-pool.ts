/** Runs expensive tasks a few at a time, with a bounded queue. */
export interface WorkPool {
  /** Starts or queues the task; `undefined` = full, the task was not queued. */
  run<T>(task: () => Promise<T>): Promise<T> | undefined
}

/**
 * Creates a bound on expensive work that unauthenticated clients can cause.
 *
 * @param options - `inFlight`: tasks at a time, at least 1. `queue`: waiting tasks beyond those, in order of
 * arrival
 */
export function createWorkPool(options: { readonly inFlight: number; readonly queue: number }): WorkPool {
  const waiting: (() => void)[] = []
  let running = 0

  function next(): void {
    // Pass the place straight to the task that has waited longest: a new task must not take it first.
    const first = waiting.shift()
    if (first === undefined) running--
    else first()
  }

  return {
    run(task) {
      if (running < options.inFlight) {
        running++
        return Promise.resolve().then(task).finally(next)
      }
      if (waiting.length >= options.queue) return undefined
      return new Promise<void>((resolve) => waiting.push(resolve)).then(task).finally(next)
    },
  }
}
