import type { Clock } from '../ports/clock.ts'

/** Items and milliseconds in one turn of the event loop, whichever is reached first. */
const most = 64
const longest = 4
/** So few in a turn are not worth a timer of their own. */
const few = 16

interface Job {
  readonly count: number
  readonly work: (index: number) => void
  next: number
}

/**
 * Does something with each of many items without holding up everything else: the first ones at once, the others in
 * the turns of the event loop that follow, in order. `work` must not throw. `since` is the time at
 * which the work of the present turn began.
 */
export type Slices = <T>(items: readonly T[], work: (item: T) => void, since: number) => void

/** All jobs share what may be done in one turn: very many small ones hold nothing up either. */
export function createSlices(clock: Clock): Slices {
  const jobs: Job[] = []
  /** Items since the last turn that we know of. */
  let done = 0
  let armed = false
  let running = false

  function turn(): void {
    armed = false
    done = 0
    go(clock.now())
  }

  function arm(): void {
    if (armed) return
    armed = true
    clock.setTimer(0, turn)
  }

  function go(since: number): void {
    running = true
    const until = since + longest
    let full = false
    for (let job = jobs[0]; job !== undefined && !full; job = jobs[0]) {
      while (job.next < job.count && !full) {
        job.work(job.next++)
        done++
        full = done >= most || clock.now() >= until
      }
      if (job.next === job.count) jobs.shift()
    }
    running = false
    // Counted together with what comes later in this turn, as if that were the same slice.
    if (jobs.length > 0 || done >= few) arm()
  }

  return (items, work, since) => {
    jobs.push({ count: items.length, next: 0, work: (index) => work(items[index] as (typeof items)[number]) })
    // While others wait for their turn, or one is under way, it waits as well.
    if (!running && jobs.length === 1 && done < most) go(since)
    else arm()
  }
}
