import type { Clock } from './clock.ts'

/** One login of one user at one team; its nonce is in every token issued from it. */
export interface Session {
  readonly nonce: string
  readonly email: string
  readonly team: string
}

/** The logins that are live, and the ones that were ended. */
export interface Sessions {
  open(session: Session): void
  /** Ends a session; it stays good for `delaySeconds`, as logout at the edge takes a while to bite. */
  end(nonce: string, delaySeconds: number): void
  /** Ends every session of a user in the same way. */
  endAllOf(email: string, delaySeconds: number): void
  find(nonce: unknown): Session | undefined
}

/** Beyond this many logins the oldest is forgotten, which ends it. */
const MAX_SESSIONS = 10_000

/** Makes the register of sessions. */
export function createSessions(clock: Clock): Sessions {
  const live = new Map<string, { session: Session; endsAt: number }>()
  const end = (entry: { endsAt: number } | undefined, delaySeconds: number): void => {
    if (entry !== undefined) entry.endsAt = Math.min(entry.endsAt, clock.now() + delaySeconds * 1000)
  }
  return {
    open(session) {
      const oldest = live.size >= MAX_SESSIONS ? live.keys().next().value : undefined
      if (oldest !== undefined) live.delete(oldest)
      live.set(session.nonce, { session, endsAt: Number.POSITIVE_INFINITY })
    },
    end: (nonce, delaySeconds) => end(live.get(nonce), delaySeconds),
    endAllOf(email, delaySeconds) {
      for (const entry of live.values()) if (entry.session.email === email) end(entry, delaySeconds)
    },
    find(nonce) {
      const entry = typeof nonce === 'string' ? live.get(nonce) : undefined
      return entry !== undefined && entry.endsAt > clock.now() ? entry.session : undefined
    },
  }
}
