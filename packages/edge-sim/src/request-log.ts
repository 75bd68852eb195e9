import type { Identity, Outcome } from './answer.ts'

/** One request as the log keeps it: no header value, no query string, no cookie, no secret. */
export interface LogEntry {
  /** Milliseconds since the epoch, when it arrived. */
  readonly at: number
  readonly ray: string
  readonly method: string
  readonly host: string
  /** Without its query, which may hold tokens. */
  readonly path: string
  readonly upgrade: boolean
  /** The client address, as simulated. */
  readonly address: string
  readonly userAgent: string
  /** Which credentials it carried, by header or cookie name. */
  readonly credentials: readonly string[]
  readonly outcome: Outcome
  /** The status sent, or 0 where none was. */
  readonly status: number
  readonly application: string | undefined
  readonly identity: Identity | undefined
}

/** The most recent requests, oldest first. */
export interface RequestLog {
  readonly entries: readonly LogEntry[]
  add(entry: LogEntry): void
  clear(): void
}

/** Makes a log of at most `size` entries; `onEntry` sees each one as it is added. */
export function createRequestLog(size: number, onEntry: ((entry: LogEntry) => void) | undefined): RequestLog {
  const entries: LogEntry[] = []
  return {
    entries,
    add(entry) {
      if (entries.length >= size) entries.shift()
      entries.push(entry)
      onEntry?.(entry)
    },
    clear() {
      entries.length = 0
    },
  }
}
