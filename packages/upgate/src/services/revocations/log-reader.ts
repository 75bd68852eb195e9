import type { Revocation } from '../../core/ports/revocations.ts'
import type { RevocationLog } from '../../core/ports/stores.ts'

const pageSize = 500

/** Reads the log from its last position, and notices when that position no longer exists. */
export interface LogReader {
  /** Number of the last entry handed on; `undefined` before the start. */
  readonly known: number | undefined
  /** Reads where the log ends. Older entries cannot concern a credential that is verified from now on. */
  start(): Promise<void>
  /** Hands on new entries. Several calls may run at once. */
  read(): Promise<void>
  /** Takes an entry that this process appended; false if entries before it are missing. */
  take(entry: Revocation): boolean
}

export function createLogReader(options: {
  readonly log: RevocationLog
  onEntry(entry: Revocation): void
  /** Entries up to this number may have been missed: every principal may be concerned. */
  onLost(sequence: number): void
  /**
   * The log ends earlier than before, or is a different log: it was read up to `from`, and ends at `head`.
   */
  onReplaced(from: number, head: number): void
}): LogReader {
  const { log, onEntry, onLost, onReplaced } = options
  let known: number | undefined
  /** Text of the entry numbered `known`, when it was read. */
  let anchor: string | undefined

  function pass(entry: Revocation): void {
    known = entry.sequence
    anchor = textOf(entry)
    onEntry(entry)
  }

  /**
   * Resets the position: the log ends before it, or holds a different entry there. The database was restored
   * from a backup, or is a different one. Entries will reuse numbers already read, and must not count as
   * read.
   */
  async function startAnew(): Promise<void> {
    const head = await log.head()
    const from = known as number
    known = head
    anchor = undefined
    onReplaced(from, head)
  }

  async function read(): Promise<void> {
    for (;;) {
      const from = known as number
      const expected = anchor
      // Start at the last known entry, to check that it still exists.
      const entries = await log.since(Math.max(0, from - 1), pageSize)
      const first = entries[0]
      if (from > 0) {
        const replaced =
          first === undefined ||
          (first.sequence === from && expected !== undefined && textOf(first) !== expected)
        if (replaced) return startAnew()
      }
      for (const entry of entries) {
        if (entry.sequence > (known as number)) {
          if (entry.sequence > (known as number) + 1) onLost(entry.sequence - 1)
          pass(entry)
        } else if (entry.sequence === known) anchor ??= textOf(entry)
      }
      if (entries.length < pageSize) return
    }
  }

  return {
    get known() {
      return known
    },
    async start() {
      const head = await log.head()
      known ??= head
    },
    read,
    take(entry) {
      if (known === undefined || entry.sequence !== known + 1) return false
      known = entry.sequence
      anchor = textOf(entry)
      return true
    },
  }
}

/** Does not depend on the order of the selector's fields, which a database may change. */
function textOf({ at, selector, reason }: Revocation): string {
  return JSON.stringify([at, reason, Object.entries(selector).sort()])
}
