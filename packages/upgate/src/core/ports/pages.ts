/** The part of a list that is asked for. */
export interface PageRequest {
  /** `next` of the page before; absent = the first page. A text that the list never gave finds no records. */
  readonly after?: string | undefined
  /** Largest number of records, from 1. */
  readonly limit: number
}

/**
 * A part of a list. Each record that is there from the first page to the last one is on exactly one page, whatever is
 * added and removed in between; also if the last record of a page is removed before the next page is read.
 */
export interface Page<R> {
  /** At most as many as were asked for. */
  readonly records: readonly R[]
  /** The place after this page, in at most 100 characters; absent = it is the last page. */
  readonly next?: string | undefined
}
