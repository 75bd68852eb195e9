import type { Check, Outcome, Verdict } from './check.ts'
import { skip, unknown, verdictOf } from './check.ts'

/** One rung: what it needs, and how it is climbed. */
export interface Rung {
  readonly id: string
  readonly title: string
  /** Rungs that have to pass first; if one did not, this one is skipped. */
  readonly after: readonly string[]
  run(): Outcome | Promise<Outcome>
}

/** The reports of a run, in order. */
export interface Progress {
  started(title: string): void
  finished(check: Check): void
}

/**
 * Climbs a ladder of checks in order. A check below a failed one is skipped, not failed; one that the time limit or an
 * exception ended is unknown, not failed. If the time limit left a check out, and none failed, that is the verdict: the
 * failure may be in a check that was not made.
 *
 * @param left - milliseconds that are left for all checks
 */
export async function climb(
  rungs: readonly Rung[],
  { left, signal, progress }: { left: () => number; signal: AbortSignal; progress: Progress },
): Promise<{ readonly checks: readonly Check[]; readonly verdict: Verdict | undefined }> {
  const checks: Check[] = []
  let verdict: Verdict | undefined
  for (const { id, title, after, run } of rungs) {
    if (signal.aborted) break
    const below = after.map((name) => checks.find((check) => check.id === name))
    const stopped = below.find((check) => check !== undefined && check.status !== 'pass')
    const begin = performance.now()
    let outcome: Outcome
    if (stopped !== undefined) outcome = skip(`needs: ${stopped.title.toLowerCase()}`)
    else if (left() <= 0) {
      outcome = unknown('the time limit was over (--timeout)')
      verdict = worse(verdict, timeIsOver)
    } else {
      progress.started(title)
      try {
        outcome = await run()
      } catch (error) {
        // A defect of the check itself: its message may quote what a server sent.
        outcome = unknown(`the check itself failed (${error instanceof Error ? error.name : 'error'})`)
      }
    }
    const check: Check = {
      id,
      title,
      status: outcome.status,
      detail: outcome.detail,
      ...(outcome.status === 'fail' && { code: outcome.diagnosis?.code }),
      ...(stopped === undefined && { milliseconds: Math.round(performance.now() - begin) }),
    }
    checks.push(check)
    progress.finished(check)
    if (outcome.status === 'fail' && outcome.diagnosis !== undefined)
      verdict = worse(verdict, verdictOf(outcome.diagnosis))
  }
  return { checks, verdict }
}

const timeIsOver: Verdict = {
  code: 'unknown',
  layer: 'net',
  severity: 'error',
  title: 'The time limit was over before all checks were made',
  cause:
    'The failure, if there is one, is in a check that was not made: the server or this computer is slow.',
  action: 'Run it again with a longer --timeout.',
  link: undefined,
  evidence: [],
}

/** The verdict on both: the first one, unless only the second one is an error. A warning hides no error. */
export function worse(first: Verdict | undefined, second: Verdict | undefined): Verdict | undefined {
  return first !== undefined && (first.severity === 'error' || second?.severity !== 'error') ? first : second
}
