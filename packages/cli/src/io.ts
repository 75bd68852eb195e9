import type { Clock } from '@upgate/client'

/** The world around a command, so that a test can stand in for it. */
export interface Io {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: Output
  readonly stderr: Output
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /** The clock of `upgate node`. Default: the system's. */
  readonly clock?: Clock
}

/** An output stream; `isTTY` decides about colours and progress. */
export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** Exit statuses of the command. */
export const exits = {
  fine: 0,
  problem: 1,
  usage: 2,
  authentication: 3,
  unreachable: 4,
  interrupted: 130,
} as const

/** Wrong usage: the message goes to standard error, and the status is 2. */
export class UsageError extends Error {
  override readonly name: 'UsageError' = 'UsageError'
}
