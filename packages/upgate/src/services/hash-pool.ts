/** Runs expensive work a few at a time, with a short queue and no more. */
export interface HashPool {
  /** Starts or queues the task; `undefined` = full, nothing was queued. */
  run<T>(task: () => Promise<T>): Promise<T> | undefined
}

/** Bounds password hashing: each takes 64 MiB and a thread for a noticeable time, whoever asks for it. */
export function createHashPool(options: { readonly inFlight: number; readonly queue: number }): HashPool {
  const waiting: (() => void)[] = []
  let running = 0

  function next(): void {
    // The place goes straight to who waits longest: a newcomer must not slip in between.
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
