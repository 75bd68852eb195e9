import type { SessionRecord } from '../../core/ports/stores.ts'
import { RecordsInOrder } from './creation-order.ts'

const none: ReadonlySet<string> = new Set()

/** Sessions in order of creation; those of an account are found without a look at the others. */
export class AccountSessions extends RecordsInOrder<SessionRecord> {
  readonly #ids = new Map<string, Set<string>>()

  override set(id: string, record: SessionRecord): this {
    const ids = this.#ids.get(record.accountId)
    if (ids === undefined) this.#ids.set(record.accountId, new Set([id]))
    else ids.add(id)
    return super.set(id, record)
  }

  override delete(id: string): boolean {
    const accountId = this.get(id)?.accountId
    if (accountId !== undefined) {
      const ids = this.#ids.get(accountId)
      ids?.delete(id)
      if (ids?.size === 0) this.#ids.delete(accountId)
    }
    return super.delete(id)
  }

  /** The ids of an account's sessions, the oldest first. */
  idsOf(accountId: string): ReadonlySet<string> {
    return this.#ids.get(accountId) ?? none
  }
}
