import { assertKnownOptions, wrongOption } from '../core/options/check-options.ts'
import { count } from '../core/options/option-kinds.ts'
import type { Page, PageRequest } from '../core/ports/pages.ts'

/** The part of a list that is asked for. */
export interface PageOptions {
  /** `next` of the page before, such as from a link. Default: the first page. */
  readonly after?: string | undefined
  /** Entries on the page, 1 to 1,000. Default: 100. */
  readonly limit?: number | undefined
}

/** A page of a list. An entry that is there while all pages are read is on exactly one of them. */
export interface ListPage<T> {
  /** At most `limit`; may be fewer, or none, although more pages follow. */
  readonly items: readonly T[]
  /** `after` of the next page; `undefined` = this is the last one. It holds no secret. */
  readonly next: string | undefined
}

const size = count(100, 1, 1000)
const longestCursor = 100

/**
 * Checks the part of a list that is asked for. Any text is a cursor, because it comes from a link: one that no page gave
 * finds nothing.
 *
 * @throws TypeError
 */
export function pageRequest(where: string, options: PageOptions): PageRequest {
  assertKnownOptions(where, options, ['after', 'limit'])
  const { after, limit = 100 } = options
  if (after !== undefined && (typeof after !== 'string' || after.length > longestCursor)) {
    throw wrongOption(where, 'after', `\`next\` of another page, at most ${longestCursor} characters`, after)
  }
  return { after, limit: size.read(where, 'limit', limit) }
}

/** What a service shows of a page of records. */
export function shownPage<R, T>({ records, next }: Page<R>, show: (record: R) => T): ListPage<T> {
  return { items: records.map(show), next }
}
