import type { Page, PageRequest } from '../../core/ports/pages.ts'

/** Records by id, in order of creation, and their pages. */
export class RecordsInOrder<R extends { readonly id: string }> extends Map<string, R> {
  readonly #positions = new Map<string, number>()
  #last = 0

  override set(id: string, record: R): this {
    if (!this.has(id)) this.#positions.set(id, ++this.#last)
    return super.set(id, record)
  }

  override delete(id: string): boolean {
    this.#positions.delete(id)
    return super.delete(id)
  }

  /**
   * A page of the records that are wanted.
   *
   * @param newestFirst - order of the list
   */
  page({ after, limit }: PageRequest, wanted: (record: R) => boolean, newestFirst = false): Page<R> {
    const place = after === undefined ? undefined : /^\d{1,15}$/.test(after) ? Number(after) : Number.NaN
    const records: R[] = []
    let next: string | undefined
    const ids = [...this.#positions]
    for (const [id, position] of newestFirst ? ids.reverse() : ids) {
      if (place !== undefined && !(newestFirst ? position < place : position > place)) continue
      const record = this.get(id)
      if (record === undefined || !wanted(record)) continue
      if (records.length === limit) return { records, next }
      records.push(record)
      next = `${position}`
    }
    return { records }
  }
}
