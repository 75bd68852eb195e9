import type { Request } from 'express'
import type { ListPage, PageOptions } from 'upgate'

/** A page of a list, and whether another one comes before it. */
export interface Part<T> extends ListPage<T> {
  readonly first: boolean
}

/** The part of a list that `?after=` asks for; a value that cannot be a cursor asks for the first part. */
export function partOf({ query }: Request): PageOptions {
  const { after } = query
  return typeof after === 'string' && after.length <= 100 ? { after } : {}
}

/** The part of a list as the API and the pages show it. */
export function shown<T, V>(page: ListPage<T>, options: PageOptions, view: (item: T) => V): Part<V> {
  return { items: page.items.map(view), next: page.next, first: options.after === undefined }
}
