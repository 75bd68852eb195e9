import type { Observation } from '@upgate/diagnosis'

/** Thrown where a user's token is not sent; the verdict comes from the observation. */
export class AccessRefusal extends Error {
  override readonly name: 'AccessRefusal' = 'AccessRefusal'
  readonly observation: Observation

  constructor(observation: Observation) {
    super('The token of the user was not sent.')
    this.observation = observation
  }
}

/** Turns a failed request into the refusal with the verdict on its error. */
export async function refusedBy<T>(url: string, request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (error) {
    const { cause, name, message } = error as { cause?: unknown; name?: unknown; message?: unknown }
    const { code, message: said, name: kind } = (cause ?? {}) as Record<string, unknown>
    // The only signal that is still of interest is the one of the time limit.
    const timedOut = [name, kind].includes('AbortError')
    throw new AccessRefusal({
      url,
      sent: { upgrade: false },
      error: {
        timedOut,
        ...(typeof code === 'string' && !timedOut && { code }),
        message: timedOut ? 'No answer within the time limit.' : String(said ?? message),
      },
    })
  }
}
