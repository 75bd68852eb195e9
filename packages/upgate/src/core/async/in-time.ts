import type { Clock, Timer } from '../ports/clock.ts'

/** Waits for an answer, but no longer than so many milliseconds; then answers what `late` returns, or throws. */
export async function inTime<T>(
  answer: PromiseLike<T>,
  milliseconds: number,
  clock: Clock,
  late: () => T,
): Promise<T> {
  let timer: Timer | undefined
  const end = new Promise<undefined>((resolve) => {
    timer = clock.setTimer(milliseconds, () => resolve(undefined))
  })
  try {
    const first = await Promise.race([answer.then((value) => ({ value })), end])
    return first === undefined ? late() : first.value
  } finally {
    timer?.cancel()
  }
}
