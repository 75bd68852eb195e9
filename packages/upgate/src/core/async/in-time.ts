import type { Clock } from '../ports/clock.ts'

/** Waits for an answer, but no longer than so many milliseconds; then answers what `late` returns, or throws. */
export function inTime<T>(
  answer: PromiseLike<T>,
  milliseconds: number,
  clock: Clock,
  late: () => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(milliseconds, () => {
      try {
        resolve(late())
      } catch (error) {
        reject(error)
      }
    })
    answer.then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      (error: unknown) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}
