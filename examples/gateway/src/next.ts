import { safeNext } from 'upgate'

/** Where people land after the login. */
export const startPage = '/nodes'

/** Where to go after the login: a page of this origin, else the start page. */
export function pageAfterLogin(next: unknown): string {
  const path = safeNext(next)
  // What is no page would strand the person who just logged in, and the login page would send them in a circle.
  if (path === undefined || /^\/(login|logout|setup|api|ws|assets)([/?#]|$)/i.test(path)) return startPage
  return path
}
