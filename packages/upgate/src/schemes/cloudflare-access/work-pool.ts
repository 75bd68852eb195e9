/** Runs expensive work a few tasks at a time, with a bounded queue. */
export interface WorkPool {
  /** Starts or queues the task; `undefined` = full, nothing was queued. */
  run<T>(task: () => Promise<T>): Promise<T> | undefined
}

/**
 * Bounds work that costs much and that an unauthenticated client can ask for.
 *
 * @param options - `inFlight`: tasks at a time, at least 1. `queue`: tasks that wait beyond those, in order of arrival
 */
export function createWorkPool(options: { readonly inFlight: number; readonly queue: number }): WorkPool {
  const waiting: (() => void)[] = []
  let running = 0

  function next(): void {
    // The place goes straight to the task that waits longest: a newcomer must not slip in between.
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
