/** Servers with live sockets, in the order of the page. @type {Readonly<Record<string, string>>} */
export const guards = {
  sqlite: 'Upgate, records in SQLite',
  postgres: 'Upgate, another instance, PostgreSQL and its bus',
  hand: 'a `Map` of sockets by hand, nothing written down',
}
