/** A pool of the package `pg`, as far as it is used: its types are not needed to use another store. */
export interface PgPool {
  connect(): Promise<PgClient>
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
  end(): Promise<void>
}

/** A connection of such a pool. */
export interface PgClient {
  query(sql: string, parameters: unknown[]): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
  release(error?: Error): void
}
