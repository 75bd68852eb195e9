import type { Revocation } from '../../core/ports/revocations.ts'
import type { RevocationLog } from '../../core/ports/stores.ts'

const pageSize = 500

/** Reads the log on from where it was, and notices when that place is gone. */
export interface LogReader {
  /** Up to here everything was handed on; `undefined` before the start. */
  readonly known: number | undefined
  /** Learns where the log ends: what is older concerns nobody who is verified from now on. */
  start(): Promise<void>
  /** Hands on what is new. Several may run at once. */
  read(): Promise<void>
  /** Takes an entry that this process appended; false if others are missing before it. */
  take(entry: Revocation): boolean
}

export function createLogReader(options: {
  readonly log: RevocationLog
  onEntry(entry: Revocation): void
  /** Entries up to this number were, or may have been, missed: they may concern anybody. */
  onLost(sequence: number): void
  /** The log ends earlier than it did, or is another one: it was read up to `from`, and ends at `head`. */
  onReplaced(from: number, head: number): void
}): LogReader {
  const { log, onEntry, onLost, onReplaced } = options
  let known: number | undefined
  /** The entry numbered `known`, as text, when it was seen. */
  let anchor: string | undefined

  function pass(entry: Revocation): void {
    known = entry.sequence
    anchor = textOf(entry)
    onEntry(entry)
  }

  /**
   * The log ends before what we know, or holds something else there: the database was restored from a backup, or is
   * another one. Numbers we have seen are given out again, and would be taken for known.
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
      // From the last known one on, to see that it is still there.
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

/** Independent of the order of the selector's fields, which a database may not keep. */
function textOf({ at, selector, reason }: Revocation): string {
  return JSON.stringify([at, reason, Object.entries(selector).sort()])
}
