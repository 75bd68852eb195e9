import { safeNext } from 'upgate'

/** The page after a login without `next`. */
export const startPage = '/nodes'

/** Returns the target after a login: a page of this origin, else the start page. */
export function pageAfterLogin(next: unknown): string {
  const path = safeNext(next)
  // A path that is not a page would be a dead end after the login, and the login page would lead in a circle.
  if (path === undefined || /^\/(login|logout|setup|api|ws|assets)([/?#]|$)/i.test(path)) return startPage
  return path
}
